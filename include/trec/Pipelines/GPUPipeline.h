//===- GPUPipeline.h - From an imported model to NVVM for GPUs --*- C++ -*-===//
//
// `trec-gpu-pipeline` as named stages, as CPUPipeline.h:
//
//   for (GPUStage stage : getGPUStages()) {
//     buildGPUStage(pm, stage, options);
//     if (stage == GPUStage::group) inspect(module);
//   }
//
//===----------------------------------------------------------------------===//

#ifndef TREC_PIPELINES_GPUPIPELINE_H
#define TREC_PIPELINES_GPUPIPELINE_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir::trec {

/// Options of `trec-gpu-pipeline`.
struct GPUPipelineOptions : public PassPipelineOptions<GPUPipelineOptions> {
  Option<std::string> chip{*this, "chip",
                           llvm::cl::desc("chip to compile for, as sm_90"),
                           llvm::cl::init("sm_90")};
  Option<std::string> features{
      *this, "features",
      llvm::cl::desc("features of the target, as the version of PTX"),
      llvm::cl::init("+ptx78")};
  Option<std::string> numerics{
      *this, "numerics",
      llvm::cl::desc("whose bits to compute: fbgemm, FBGEMM's on GPUs, cpu, "
                     "those of its CPU kernels, or relaxed, FBGEMM's elements "
                     "on GPUs, summed in any order"),
      llvm::cl::init("fbgemm")};
  ListOption<std::string> chips{
      *this, "chips",
      llvm::cl::desc("chips of the library, the latest last, whose measured "
                     "schedules are looked for")};
  Option<std::string> tuneCache{
      *this, "tune-cache",
      llvm::cl::desc(
          "file of measured schedules, as trec-compile --tune writes "
          "it"),
      llvm::cl::init("")};
};

/// The stages in order, named by what the IR is after each. The first two are
/// those of CPUs.
enum class GPUStage {
  import,  // accepted import-layer ops
  fuse,    // one trec.embedding_bag per lookup
  group,   // groups of tables, each with its lowering for GPUs
  kernels, // a gpu.module in gpu, scf, arith, vector and llvm
  nvvm     // the LLVM and NVVM dialects, with a target
};

/// All stages, the first first.
ArrayRef<GPUStage> getGPUStages();

/// The stage's name as it is written on a command line.
StringRef stringifyGPUStage(GPUStage stage);

/// Adds the passes of one stage.
void buildGPUStage(OpPassManager &pm, GPUStage stage,
                   const GPUPipelineOptions &options);

/// Registers what the last stage needs besides the passes' own dialects: how
/// other dialects become LLVM's.
void registerGPUConversions(DialectRegistry &registry);

/// Registers `trec-gpu-pipeline`, all stages after each other.
void registerGPUPipeline();

} // namespace mlir::trec

#endif // TREC_PIPELINES_GPUPIPELINE_H
