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

void mlir::trec::buildCPUKernelPipeline(OpPassManager &pm,
                                        const CPUPipelineOptions &options) {
  // Nothing below has to expect what this refuses.
  pm.addPass(createVerifyImportContractPass());
  // Folds casts to f32, so that fusion sees one form.
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createFuseDequantizePass());
  pm.addPass(createGroupTablesPass());
  pm.addPass(createSelectLoweringPass({options.cpu}));
  pm.addPass(createConvertTrecToVectorPass());
}

void mlir::trec::buildCPULLVMPipeline(OpPassManager &pm,
                                      const CPUPipelineOptions &options) {
  pm.addPass(createEmitKernelEntriesPass({options.suffix}));
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

void mlir::trec::registerCPUPipeline() {
  PassPipelineRegistration<CPUPipelineOptions>(
      "trec-cpu-pipeline", "an imported model to the LLVM dialect for CPUs",
      [](OpPassManager &pm, const CPUPipelineOptions &options) {
        buildCPUKernelPipeline(pm, options);
        buildCPULLVMPipeline(pm, options);
      });
}
