//===- TrecFusedOps.cpp - Fused lookups and groups of them ----------------===//
//
// Verifiers of the ops in TrecFusedOps.td.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace mlir::trec;

LogicalResult
EmbeddingBagOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto table = lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable);
  if (failed(table)) // C1
    return failure();
  auto pooled = cast<RankedTensorType>(getPooled().getType());
  if (pooled.getDimSize(1) != table->getType().getDim()) // C2
    return emitOpError() << "expected " << table->getType().getDim()
                         << " columns, the dim of " << getTableAttr()
                         << ", got " << pooled;
  return success();
}

LogicalResult
EmbeddingOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto table = lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable);
  if (failed(table)) // C1
    return failure();
  auto row = cast<VectorType>(getRows().getType().getElement());
  if (row.getDimSize(0) != table->getType().getDim()) // C2
    return emitOpError() << "expected a vector of "
                         << table->getType().getDim()
                         << " elements, the dim of " << getTableAttr()
                         << ", got " << row;
  return success();
}

/// The constraints that groups and dispatches share: at least one bag, and each
/// feature in the batch.
template <typename OpT> static LogicalResult verifyBags(OpT op) {
  if (op.getBags().empty()) // C1
    return op.emitOpError("expected at least one bag");
  for (BagAttr bag : op.getBags().template getAsRange<BagAttr>())
    if (failed(verifyBatchHasKey(op, op.getKjt().getType(),
                                 bag.getFeature()))) // C3
      return failure();
  return success();
}

LogicalResult EmbeddingBagGroupOp::verify() {
  if (failed(verifyBags(*this)))
    return failure();
  int64_t dim = getRowType().getDim();
  int64_t total = getDest().getType().getTotalDim();
  for (BagAttr bag : getBags().getAsRange<BagAttr>())
    if (bag.getColumn() > total - dim) // C4
      return emitOpError() << "expected columns of " << bag.getFeature()
                           << " within the " << total
                           << " of the output, got " << bag.getColumn()
                           << " to " << bag.getColumn() + dim;
  if (getWeighted() && !getKjt().getType().getWeighted()) // C5
    return emitOpError("expected a weighted batch");
  return success();
}

LogicalResult
EmbeddingBagGroupOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (BagAttr bag : getBags().getAsRange<BagAttr>()) {
    auto table = lookupSymbol<TableOp>(*this, bag.getTable(), symbolTable);
    if (failed(table))
      return failure();
    if (table->getType().getRowType() == getRowType())
      continue;
    InFlightDiagnostic diagnostic =
        emitOpError() << "expected tables with rows of type " << getRowType()
                      << ", got " << bag.getTable(); // C2
    diagnostic.attachNote(table->getLoc())
        << "its rows are " << table->getType().getRowType();
    return diagnostic;
  }
  return success();
}

LogicalResult DispatchOp::verify() { return verifyBags(*this); }

LogicalResult
DispatchOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (BagAttr bag : getBags().getAsRange<BagAttr>())
    if (failed(lookupSymbol<TableOp>(*this, bag.getTable(), symbolTable))) // C2
      return failure();
  for (FlatSymbolRefAttr kernel : {getKernelI32Attr(), getKernelI64Attr()})
    if (failed(
            lookupSymbol<func::FuncOp>(*this, kernel, symbolTable))) // C4
      return failure();
  return success();
}
