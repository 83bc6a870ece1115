//===- CompileModel.h - An imported model to files --------------*- C++ -*-===//
//
// What `trec-compile` does, as a function:
//
//   CompileOptions options;
//   options.output = "model.so";
//   options.cpus = {"x86-64-v3"};
//   if (failed(compileModel(*module, options))) … // diagnostics were emitted
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_COMPILEMODEL_H
#define TREC_TARGET_COMPILEMODEL_H

#include "trec/IR/TrecDialect.h"
#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Pipelines/GPUPipeline.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <optional>

namespace mlir::trec {

/// The kind of file at `CompileOptions::output`.
enum class EmitKind { mlir, llvm, assembly, ptx, object, sharedLibrary };

/// What to compile for and what to write.
struct CompileOptions {
  /// File to write. A shared library `x.so` comes with its header `x.h` and its
  /// manifest `x.manifest.json`.
  std::string output;
  /// Triple of what to compile for; empty: this machine.
  std::string target;
  /// Names of `--cpu`; none: the default of the target. Kinds other than object
  /// and shared library take exactly one.
  std::vector<std::string> cpus;
  EmitKind emit = EmitKind::sharedLibrary;
  /// Stops after a stage and writes its IR, whatever `emit` says.
  std::optional<CPUStage> stopAfter;
  /// Whose numbers to compute.
  Numerics numerics = Numerics::fbgemm;
  /// Names of `--gpu`: none compiles for CPUs alone. PTX and a stage for GPUs
  /// take exactly one. A shared library has code for each, and PTX of the last
  /// chip for later ones.
  std::vector<std::string> gpus;
  /// Stops after a stage for GPUs, as `stopAfter`.
  std::optional<GPUStage> stopAfterGPU;
  /// Whose bits GPUs compute.
  GPUNumerics gpuNumerics = GPUNumerics::fbgemm;
  /// Folders to look for ptxas in, before PATH.
  std::vector<std::string> ptxasFolders;
  /// Name of the exported function.
  std::string symbol = "trec_model_query";
  /// A safetensors file to embed; empty: the weights stay outside.
  std::string embeddedWeights;
  /// Folder for the IR after each pass that changed it; empty: none.
  std::string dumpFolder;
  /// File of measured lowerings, as `tuneModel` makes it; empty: the cost model
  /// chooses all.
  std::string tuneCache;
  /// JSON file for the report; empty: none.
  std::string report;
  /// Told what is being done and how much of it, from any thread; may be empty.
  std::function<void(StringRef what, size_t done, size_t total)> onProgress;
};

/// An error where the options contradict each other or name what does not
/// exist, whatever the model is. `compileModel` checks this too.
llvm::Error checkOptions(const CompileOptions &options);

/// Compiles a module as an importer wrote it, which is left as it was. Emits
/// diagnostics and fails where the input cannot be compiled.
LogicalResult compileModel(ModuleOp module, const CompileOptions &options);

} // namespace mlir::trec

#endif // TREC_TARGET_COMPILEMODEL_H
