//===- Model.h - A compiled model and calls of it ---------------*- C++ -*-===//
//
// Loads a `.so` through its one exported function and calls it through the C
// interface of ModelABI.h, as any program would.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_RUN_MODEL_H
#define TREC_RUN_MODEL_H

#include "trec/Run/DeviceTables.h"
#include "trec/Run/OutputLayout.h"

#include "trec/Reference/RandomInputs.h"
#include "trec/Runtime/ModelABI.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/JSON.h"

namespace mlir::trec {

/// A loaded library; it stays loaded until the process ends.
class ModelLibrary {
public:
  static llvm::Expected<ModelLibrary> open(llvm::StringRef path,
                                           const std::string &symbol);

  const trec_api &getAPI() const { return *api; }
  const std::string &getPath() const { return path; }
  /// Whether its numerics are relaxed: not FBGEMM's to the last bit.
  bool isRelaxed() const;
  /// Whether its numbers on a GPU are those on a CPU.
  bool hasCPUNumericsOnGPU() const;
  /// Where the weights are by default: `<stem>.safetensors` beside the library.
  std::string getSiblingWeights() const;

private:
  /// Empty where they are not well formed.
  llvm::json::Object parseMetadata() const;

  std::string path;
  const trec_api *api = nullptr;
};

/// The import-level IR that a library carries, and what its types say.
class ModelIR {
public:
  static llvm::Expected<ModelIR> parse(const ModelLibrary &library);

  ModuleOp getModule() const { return *module; }
  /// Of the arguments of `@forward`.
  SmallVector<KJTType> getBatchTypes() const;
  const OutputLayout &getOutputLayout() const { return *layout; }
  /// The policy of the model's checks.
  BoundsPolicy getPolicy() const;

private:
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
  std::optional<OutputLayout> layout;
};

/// Weights for a model: a file, tables and parameters in memory or on a GPU, or
/// none of these (embedded).
struct WeightsSource {
  std::string path;
  const TableMap *tables = nullptr;
  const DeviceTables *onDevice = nullptr;
};

/// Where a model is on a GPU.
struct DeviceOptions {
  /// Negative: on the CPU.
  int index = -1;
  /// What it may take of the GPU's memory; 0: what there is.
  uint64_t bytes = 0;
  /// Tables that stay in host memory.
  std::vector<std::string> hostTables;
  /// What is fetched into the GPU's cache at once; 0: as it was.
  int32_t l2FetchBytes = 0;
  /// What of the GPU's cache is set aside for tables; 0: nothing.
  uint64_t l2PersistBytes = 0;

  /// Whether anything is asked of a GPU.
  bool isAsked() const {
    return bytes || !hostTables.empty() || l2FetchBytes || l2PersistBytes;
  }

  /// "cpu" or "cuda:0".
  std::string describe() const {
    return index < 0 ? "cpu" : "cuda:" + std::to_string(index);
  }
};

/// How a model is created.
struct LoadOptions {
  /// Given on the command line; empty: embedded, or beside the library.
  std::string weights;
  /// TREC_PAGES_*: how a weights file is held.
  int32_t pages = TREC_PAGES_MAP;
  int threads = 1;
  /// TREC_EXACTNESS_*. Tables in memory are checked under AUTO too: nobody
  /// changes them here.
  int32_t exactness = TREC_EXACTNESS_AUTO;
  DeviceOptions device = {};
};

/// Makes a call read these batches, which must outlive it.
void setBatches(trec_forward_args &args, ArrayRef<trec_batch> batches);
/// All batches of a call, the first of which is in the call itself.
std::vector<trec_batch> getBatches(const trec_forward_args &args);

/// A created model.
class Model {
public:
  static llvm::Expected<Model> create(const ModelLibrary &library,
                                      const ModelIR &ir,
                                      const WeightsSource &weights,
                                      const LoadOptions &options);
  Model(Model &&other)
      : api(other.api), model(std::exchange(other.model, nullptr)),
        numOutputs(other.numOutputs), device(std::move(other.device)) {}
  ~Model();

  /// Returns the status; `error` says more where it is not TREC_OK. On a GPU
  /// the batch is copied there and the outputs back.
  int32_t forward(const trec_forward_args &args, trec_error &error) const;
  /// On a GPU: puts a call in device memory on the device's stream.
  int32_t launch(const trec_forward_args &args, trec_error &error) const;
  /// Waits for what was launched; the status is that of all of it.
  int32_t finish(trec_error &error) const;
  /// Null on the CPU.
  const std::shared_ptr<Device> &getDevice() const { return device; }
  /// Buffers of a call that has an array of them.
  size_t countOutputs() const { return numOutputs; }
  int64_t countBadIds() const;
  /// The longest bag whose sum over a table is exact; 0: none is.
  int64_t getCertifiedLength(int64_t table) const {
    return api->certified_length(model, table);
  }
  /// Empty on a GPU.
  StringRef getLevel() const { return api->cpu_level(model); }
  trec_weights_info getWeightsInfo() const;
  trec_table_info getTableInfo(int64_t table) const;

private:
  Model(const trec_api *api, size_t numOutputs)
      : api(api), numOutputs(numOutputs) {}
  int32_t forwardOnDevice(const trec_forward_args &args,
                          trec_error &error) const;

  const trec_api *api;
  trec_model *model = nullptr;
  size_t numOutputs;
  std::shared_ptr<Device> device;
};

/// The weights to run with: those given, those embedded, those beside the
/// library; else an error that names where weights were looked for.
llvm::Expected<Model> createWithAnyWeights(const ModelLibrary &library,
                                           const ModelIR &ir,
                                           const LoadOptions &options);

/// How many of the bytes of a weights file are on huge pages now.
uint64_t countHugeBytes(const trec_weights_info &info);

/// "huge (asked for), 4096 bytes, 0 of them on huge pages".
std::string describe(const trec_weights_info &info);

/// Random weights, or an error where there is no memory for them.
llvm::Expected<std::unique_ptr<RandomTables>>
makeRandomTables(const ModelIR &ir, uint64_t seed, Pages pages = Pages::any);

} // namespace mlir::trec

#endif // TREC_RUN_MODEL_H
