//===- GPUCandidates.h - A model under several lowerings --------*- C++ -*-===//
//
// Compiles a model once for each of some choices of lowerings, as later
// compiles will, and loads what came of it onto a GPU, over the same tables:
//
//   GPUCandidates candidates(module, keys, options, tables);
//   auto models = candidates.compile({{costModel, other}, {tuned, other}});
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_GPUCANDIDATES_H
#define TREC_LIB_TUNE_GPUCANDIDATES_H

#include "trec/Run/Model.h"
#include "trec/Target/CompileModel.h"
#include "trec/Transforms/TuningCache.h"

namespace mlir::trec {

/// Of each configuration of a model, in the order of their keys.
using GPULowerings = SmallVector<GPULoweringConfigAttr>;

class GPUCandidates {
public:
  /// `options` are those of one chip; output and tuning cache are of no
  /// interest.
  GPUCandidates(ModuleOp module, ArrayRef<TuningKey> keys,
                CompileOptions options)
      : module(module), keys(keys), options(std::move(options)) {}

  /// Onto which GPU, and what is looked up there, which must outlive models.
  LogicalResult open(int device, const TableMap &tables);

  /// Emits diagnostics and fails where a model cannot be compiled or loaded.
  FailureOr<std::vector<Model>> compile(ArrayRef<GPULowerings> choices);

  const ModelIR &getIR() const { return *ir; }
  const std::shared_ptr<Device> &getDevice() const { return device; }

private:
  LogicalResult compile(const GPULowerings &lowerings, StringRef path) const;
  FailureOr<Model> load(StringRef path);
  LogicalResult check(llvm::Error error) const;

  ModuleOp module;
  ArrayRef<TuningKey> keys;
  CompileOptions options;
  int index = 0;
  std::shared_ptr<Device> device;
  std::unique_ptr<DeviceTables> tables;
  std::optional<ModelIR> ir; // of the first model that was loaded
  bool isWarm = false;       // dialects are loaded, by one thread
};

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_GPUCANDIDATES_H
