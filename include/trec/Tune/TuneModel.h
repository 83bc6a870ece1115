//===- TuneModel.h - Lowerings by measurement -------------------*- C++ -*-===//
//
// Measures, on the machine that it runs on, how each configuration of a model
// is looked up fastest, and writes what it found to a tuning cache:
//
//   TuneOptions options;
//   options.cache = "model.tune.json";
//   if (failed(tuneModel(*module, options, llvm::outs()))) … // diagnostics
//
// Kernels run one at a time, over tables of the model's own sizes. Another
// lowering takes the place of the cost model's only where it is faster by more
// than two copies of one kernel differ. Its outputs have the same bits.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TUNE_TUNEMODEL_H
#define TREC_TUNE_TUNEMODEL_H

#include "trec/Target/CompileModel.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <string>
#include <vector>

namespace mlir::trec {

struct TuneOptions {
  /// Triple and names of `--cpu`, none for the default; this machine must be
  /// able to run each.
  std::string target;
  std::vector<std::string> cpus;
  /// What is looked up: a case file of python/benchmarks, or a batch as
  /// `trec-run --inputs` takes it (`.safetensors`). Empty: 20 ids in each of
  /// 256 bags, all rows alike.
  std::string load;
  /// Where the entries go; others that are there already stay.
  std::string cache;
  /// Told what is being done and how much of it; may be empty.
  std::function<void(StringRef what, size_t done, size_t total)> onProgress;
};

/// Tunes a module as an importer wrote it, which is left as it was, and prints
/// a line for each configuration. Emits diagnostics and fails where the load or
/// the cache cannot be read, and where a CPU is not this machine's.
LogicalResult tuneModel(ModuleOp module, const TuneOptions &options,
                        raw_ostream &os);

struct GPUTuneOptions {
  /// Of the GPU, as CUDA counts them.
  int device = 0;
  /// As that of TuneOptions. Empty: 20 ids in each bag, of 256 samples and of
  /// 8,192.
  std::string load;
  /// What the model is compiled with: its chips, of which the device must run
  /// one, and its tuning cache, where the entries go.
  CompileOptions compile;
};

/// The same on a GPU. The whole model is launched, for its configurations share
/// registers and an end, and one of them is searched after the other. Fails too
/// where there is no driver, no such device or no code for it.
LogicalResult tuneModelOnGPU(ModuleOp module, const GPUTuneOptions &options,
                             raw_ostream &os);

} // namespace mlir::trec

#endif // TREC_TUNE_TUNEMODEL_H
