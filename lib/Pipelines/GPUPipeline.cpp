//===- GPUPipeline.cpp - From an imported model to NVVM for GPUs ----------===//

#include "trec/Pipelines/GPUPipeline.h"

#include "trec/Conversion/Passes.h"
#include "trec/IR/TrecDialect.h"
#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Transforms/Passes.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::trec;

static void buildKernelStage(OpPassManager &pm) {
  pm.addPass(createConvertTrecToGPUPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

static void buildNVVMStage(OpPassManager &pm,
                           const GPUPipelineOptions &options) {
  GpuNVVMAttachTargetOptions target;
  target.chip = options.chip;
  target.features = options.features;
  pm.addPass(createGpuNVVMAttachTarget(target));
  // scf has no direct way to LLVM.
  pm.addPass(createSCFToControlFlowPass());
  OpPassManager &kernels = pm.nest<gpu::GPUModuleOp>();
  // Brings gpu, arith, math, cf and memref to LLVM too.
  kernels.addPass(createConvertGpuOpsToNVVMOps());
  kernels.addPass(createConvertVectorToLLVMPass());
  kernels.addPass(createConvertNVVMToLLVMPass());
  kernels.addPass(createReconcileUnrealizedCastsPass());
  kernels.addPass(createPassArgumentsByValuePass());
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
}

ArrayRef<GPUStage> mlir::trec::getGPUStages() {
  static constexpr GPUStage stages[] = {GPUStage::import, GPUStage::fuse,
                                        GPUStage::group, GPUStage::kernels,
                                        GPUStage::nvvm};
  return stages;
}

StringRef mlir::trec::stringifyGPUStage(GPUStage stage) {
  switch (stage) {
  case GPUStage::import:
    return "import";
  case GPUStage::fuse:
    return "fuse";
  case GPUStage::group:
    return "group";
  case GPUStage::kernels:
    return "kernels";
  case GPUStage::nvvm:
    return "nvvm";
  }
  llvm_unreachable("all stages are listed");
}

void mlir::trec::buildGPUStage(OpPassManager &pm, GPUStage stage,
                               const GPUPipelineOptions &options) {
  switch (stage) {
  case GPUStage::import:
    return buildCPUStage(pm, CPUStage::import, CPUPipelineOptions());
  case GPUStage::fuse:
    return buildCPUStage(pm, CPUStage::fuse, CPUPipelineOptions());
  case GPUStage::group:
    pm.addPass(createGroupTablesPass());
    return pm.addPass(createSelectGPULoweringPass(
        {options.numerics,
         SmallVector<std::string>(options.chips.begin(), options.chips.end()),
         options.tuneCache}));
  case GPUStage::kernels:
    return buildKernelStage(pm);
  case GPUStage::nvvm:
    return buildNVVMStage(pm, options);
  }
}

void mlir::trec::registerGPUConversions(DialectRegistry &registry) {
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  registerConvertFuncToLLVMInterface(registry);
  registerConvertMemRefToLLVMInterface(registry);
  registerConvertNVVMToLLVMInterface(registry);
  vector::registerConvertVectorToLLVMInterface(registry);
  registerConvertToLLVMDependentDialectLoading(registry);
}

void mlir::trec::registerGPUPipeline() {
  PassPipelineRegistration<GPUPipelineOptions>(
      "trec-gpu-pipeline", "an imported model to the NVVM dialect for GPUs",
      [](OpPassManager &pm, const GPUPipelineOptions &options) {
        for (GPUStage stage : getGPUStages())
          buildGPUStage(pm, stage, options);
      });
}
