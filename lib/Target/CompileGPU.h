//===- CompileGPU.h - An imported model to the code of GPUs -----*- C++ -*-===//
//
// The GPU's half of CompileModel.cpp: the stages for each chip, and then all
// chips' code at once.
//
//   GPUCompiler compiler(imported, options);
//   if (failed(compiler.run())) …
//   use(compiler.getKernels());
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TARGET_COMPILEGPU_H
#define TREC_LIB_TARGET_COMPILEGPU_H

#include "trec/Target/CompileModel.h"
#include "trec/Target/GPUKernels.h"

#include "mlir/IR/OwningOpRef.h"

namespace mlir::trec {

/// An error where the options for GPUs contradict each other or name what does
/// not exist.
llvm::Error checkGPUOptions(const CompileOptions &options);

class GPUCompiler {
public:
  GPUCompiler(ModuleOp imported, const CompileOptions &options)
      : imported(imported), options(options) {}

  /// Compiles for all chips, or writes what `emit` or `stopAfterGPU` ask for.
  LogicalResult run();

  const GPUKernels &getKernels() const { return kernels; }

private:
  /// Of the library, the latest last.
  SmallVector<std::string> listChips() const;
  LogicalResult readTuningCache();
  LogicalResult lower(const GPUTarget &target);
  LogicalResult runStage(ModuleOp module, GPUStage stage,
                         const GPUTarget &target);
  LogicalResult readGroups(ModuleOp module);
  LogicalResult generateCode();
  LogicalResult writeTexts();
  LogicalResult write(StringRef path, StringRef text);
  LogicalResult check(llvm::Error error);
  bool isText() const {
    return options.stopAfterGPU || options.emit == EmitKind::ptx;
  }

  ModuleOp imported;
  const CompileOptions &options;
  std::optional<TuningCache> cache;
  GPUKernels kernels;
  std::vector<OwningOpRef<ModuleOp>> lowered; // per chip
};

} // namespace mlir::trec

#endif // TREC_LIB_TARGET_COMPILEGPU_H
