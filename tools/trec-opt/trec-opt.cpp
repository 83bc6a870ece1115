//===- trec-opt.cpp - The trec optimizer driver ---------------------------===//
//
// `mlir-opt` with the trec dialect, its passes and its pipelines.
//
//===----------------------------------------------------------------------===//

#include "trec/Conversion/Passes.h"
#include "trec/IR/TrecDialect.h"
#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Pipelines/GPUPipeline.h"
#include "trec/Transforms/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<mlir::trec::TrecDialect>();
  mlir::registerAllPasses();
  mlir::trec::registerTrecTransformsPasses();
  mlir::trec::registerTrecConversionPasses();
  mlir::trec::registerCPUPipeline();
  mlir::trec::registerGPUPipeline();
  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, argv, "trec modular optimizer driver\n", registry));
}
