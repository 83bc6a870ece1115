//===- CPUPipeline.cpp - From an imported model to LLVM for CPUs ----------===//

#include "trec/Pipelines/CPUPipeline.h"

#include "trec/Conversion/Passes.h"
#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/Passes.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::trec;

static void buildImportStage(OpPassManager &pm) {
  // Nothing below has to expect what this refuses.
  pm.addPass(createVerifyImportContractPass());
  // Folds casts to f32, so that fusion sees one form.
  pm.addPass(createCanonicalizerPass());
}

static void buildGroupStage(OpPassManager &pm,
                            const CPUPipelineOptions &options) {
  pm.addPass(createGroupTablesPass());
  pm.addPass(createSelectLoweringPass(
      {options.cpu, options.numerics, options.tuneCache}));
}

static void buildLLVMStage(OpPassManager &pm, StringRef suffix) {
  pm.addPass(createEmitKernelEntriesPass({suffix.str()}));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // scf has no direct way to LLVM.
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  // The entries build memrefs out of pointers through casts that fold here.
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

ArrayRef<CPUStage> mlir::trec::getCPUStages() {
  static constexpr CPUStage stages[] = {CPUStage::import, CPUStage::fuse,
                                        CPUStage::group, CPUStage::kernels,
                                        CPUStage::llvm};
  return stages;
}

StringRef mlir::trec::stringifyCPUStage(CPUStage stage) {
  switch (stage) {
  case CPUStage::import:
    return "import";
  case CPUStage::fuse:
    return "fuse";
  case CPUStage::group:
    return "group";
  case CPUStage::kernels:
    return "kernels";
  case CPUStage::llvm:
    return "llvm";
  }
  llvm_unreachable("all stages are listed");
}

void mlir::trec::buildCPUStage(OpPassManager &pm, CPUStage stage,
                               const CPUPipelineOptions &options) {
  switch (stage) {
  case CPUStage::import:
    return buildImportStage(pm);
  case CPUStage::fuse:
    pm.addPass(createFuseDequantizePass());
    return pm.addPass(createFusePositionWeightsPass());
  case CPUStage::group:
    return buildGroupStage(pm, options);
  case CPUStage::kernels:
    return pm.addPass(createConvertTrecToVectorPass());
  case CPUStage::llvm:
    return buildLLVMStage(pm, options.suffix);
  }
}

void mlir::trec::registerCPUPipeline() {
  PassPipelineRegistration<CPUPipelineOptions>(
      "trec-cpu-pipeline", "an imported model to the LLVM dialect for CPUs",
      [](OpPassManager &pm, const CPUPipelineOptions &options) {
        for (CPUStage stage : getCPUStages())
          buildCPUStage(pm, stage, options);
      });
}
