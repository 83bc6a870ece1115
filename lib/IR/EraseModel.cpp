//===- EraseModel.cpp - What descriptors replace --------------------------===//

#include "trec/IR/EraseModel.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::trec;

void mlir::trec::eraseModel(ModuleOp module) {
  llvm::SmallSetVector<Operation *, 1> functions;
  module.walk([&](Operation *op) {
    if (isa<LookupGroupInterface, DispatchOp>(op))
      functions.insert(op->getParentOfType<func::FuncOp>());
  });
  for (Operation *function : functions)
    function->erase();
  for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
    if (isa<TableOp, ParameterOp>(op))
      op.erase();
  module->removeAttr(TrecDialect::kContractAttrName);
}
