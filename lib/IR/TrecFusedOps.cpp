//===- TrecFusedOps.cpp - Fused lookups -----------------------------------===//
//
// Verifiers of the fused lookups in TrecFusedOps.td; those of groups are in
// TrecGroupOps.cpp.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace mlir::trec;

LogicalResult EmbeddingBagOp::verify() {
  if (getWeights() && getPositionWeights()) // C3
    return emitOpError("expected weights or position weights, got both");
  return success();
}

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
  if (FlatSymbolRefAttr weights = getPositionWeightsAttr())
    if (failed(verifyPositionWeights(*this, weights, symbolTable))) // C4
      return failure();
  FlatSymbolRefAttr map = getRemapAttr();
  return map ? verifyRemap(*this, map, symbolTable) : success(); // C5
}

LogicalResult
EmbeddingOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto table = lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable);
  if (failed(table)) // C1
    return failure();
  auto row = cast<VectorType>(getRows().getType().getElement());
  Type element = row.getElementType();
  int64_t expected = table->getType().getRowType().getOutputDim(element);
  if (row.getDimSize(0) != expected) // C2
    return emitOpError() << "expected a vector of " << expected << " elements, "
                         << (element.isInteger(8) ? "the bytes of a row of "
                                                  : "the dim of ")
                         << getTableAttr() << ", got " << row;
  FlatSymbolRefAttr map = getRemapAttr();
  return map ? verifyRemap(*this, map, symbolTable) : success(); // C3
}
