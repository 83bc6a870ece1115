//===- CPUPipeline.h - From an imported model to LLVM for CPUs --*- C++ -*-===//
//
// `trec-cpu-pipeline` as named stages, for a driver that wants to look at the
// IR between them:
//
//   for (CPUStage stage : getCPUStages()) {
//     buildCPUStage(pm, stage, options);
//     if (stage == CPUStage::group) inspect(module);
//   }
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
      llvm::cl::desc("CPU level: x86-64-v2, x86-64-v3, x86-64-v4, armv8-a, "
                     "sve-256 or sve-512"),
      llvm::cl::init("x86-64-v3")};
  Option<std::string> numerics{
      *this, "numerics",
      llvm::cl::desc("whose numbers to compute: fbgemm or relaxed"),
      llvm::cl::init("fbgemm")};
  Option<std::string> tuneCache{
      *this, "tune-cache",
      llvm::cl::desc("file of measured lowerings, as trec-compile --tune "
                     "writes it"),
      llvm::cl::init("")};
  Option<std::string> suffix{
      *this, "suffix",
      llvm::cl::desc("appended to the names of kernels, so that the code of "
                     "several levels can be linked together"),
      llvm::cl::init("")};
};

/// The stages in order, named by what the IR is after each.
enum class CPUStage {
  import,  // accepted import-layer ops
  fuse,    // one trec.embedding_bag per lookup
  group,   // groups of tables, each with its lowering
  kernels, // kernels in vector, scf and memref; trec.dispatch
  llvm     // the LLVM dialect
};

/// All stages, the first first.
ArrayRef<CPUStage> getCPUStages();

/// The stage's name as it is written on a command line.
StringRef stringifyCPUStage(CPUStage stage);

/// Adds the passes of one stage.
void buildCPUStage(OpPassManager &pm, CPUStage stage,
                   const CPUPipelineOptions &options);

/// Registers `trec-cpu-pipeline`, all stages after each other.
void registerCPUPipeline();

} // namespace mlir::trec

#endif // TREC_PIPELINES_CPUPIPELINE_H
