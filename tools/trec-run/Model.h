//===- Model.h - A compiled model and calls of it ---------------*- C++ -*-===//
//
// Loads a `.so` through its one exported function and calls it through the C
// interface of ModelABI.h, as any program would.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TOOLS_TREC_RUN_MODEL_H
#define TREC_TOOLS_TREC_RUN_MODEL_H

#include "OutputLayout.h"

#include "trec/Reference/RandomInputs.h"
#include "trec/Runtime/ModelABI.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

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
  /// Where the weights are by default: `<stem>.safetensors` beside the library.
  std::string getSiblingWeights() const;

private:
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

/// Weights for a model: a file, tables and parameters in memory, or neither
/// (embedded).
struct WeightsSource {
  std::string path;
  const TableMap *tables = nullptr;
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
};

/// Makes a call read these batches, which must outlive it.
void setBatches(trec_forward_args &args, ArrayRef<trec_batch> batches);

/// A created model.
class Model {
public:
  static llvm::Expected<Model> create(const ModelLibrary &library,
                                      const ModelIR &ir,
                                      const WeightsSource &weights,
                                      const LoadOptions &options);
  Model(Model &&other) : api(other.api), model(other.model) {
    other.model = nullptr;
  }
  ~Model();

  /// Returns the status; `error` says more where it is not TREC_OK.
  int32_t forward(const trec_forward_args &args, trec_error &error) const;
  int64_t countBadIds() const;
  /// The longest bag whose sum over a table is exact; 0: none is.
  int64_t getCertifiedLength(int64_t table) const {
    return api->certified_length(model, table);
  }
  StringRef getLevel() const { return api->cpu_level(model); }
  trec_weights_info getWeightsInfo() const;

private:
  explicit Model(const trec_api *api) : api(api) {}

  const trec_api *api;
  trec_model *model = nullptr;
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

#endif // TREC_TOOLS_TREC_RUN_MODEL_H
