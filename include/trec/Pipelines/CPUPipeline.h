//===- CPUPipeline.h - From an imported model to LLVM for CPUs --*- C++ -*-===//
//
// `trec-cpu-pipeline` as two stages, for a driver that wants to look at the IR
// between them:
//
//   buildCPUKernelPipeline(pm, options); // import layer to trec.dispatch
//   buildCPULLVMPipeline(pm, options);   // trec.dispatch to the LLVM dialect
//
//===----------------------------------------------------------------------===//

#ifndef TREC_PIPELINES_CPUPIPELINE_H
#define TREC_PIPELINES_CPUPIPELINE_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir::trec {

/// Options of `trec-cpu-pipeline`.
struct CPUPipelineOptions : public PassPipelineOptions<CPUPipelineOptions> {
  Option<std::string> cpu{
      *this, "cpu",
      llvm::cl::desc("CPU level: x86-64-v2, x86-64-v3 or x86-64-v4"),
      llvm::cl::init("x86-64-v3")};
  Option<std::string> suffix{
      *this, "suffix",
      llvm::cl::desc("appended to the names of kernels, so that the code of "
                     "several levels can be linked together"),
      llvm::cl::init("")};
};

/// From what an importer wrote to kernels and the dispatches that name them.
void buildCPUKernelPipeline(OpPassManager &pm,
                            const CPUPipelineOptions &options);

/// From kernels and dispatches to the LLVM dialect.
void buildCPULLVMPipeline(OpPassManager &pm,
                          const CPUPipelineOptions &options);

/// Registers `trec-cpu-pipeline`, the two after each other.
void registerCPUPipeline();

} // namespace mlir::trec

#endif // TREC_PIPELINES_CPUPIPELINE_H
