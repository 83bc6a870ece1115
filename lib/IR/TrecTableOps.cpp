//===- TrecTableOps.cpp - Tables and lookups ------------------------------===//
//
// Verifiers of the ops in TrecTableOps.td. The generated definitions of all ops
// are here too: TableGen cannot split them by file.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::trec;

#define GET_OP_CLASSES
#include "trec/IR/TrecOps.cpp.inc"

LogicalResult ParameterOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getParameterType());
  if (type && type.getRank() == 1 && type.hasStaticShape() &&
      (type.getElementType().isF32() || type.getElementType().isInteger(32) ||
       type.getElementType().isInteger(64))) // C1
    return success();
  return emitOpError() << "expected a static tensor of rank 1 of f32, i32 or "
                          "i64, got "
                       << getParameterType();
}

LogicalResult mlir::trec::verifyRemap(Operation *op, FlatSymbolRefAttr map,
                                      SymbolTableCollection &symbolTable) {
  auto parameter = lookupSymbol<ParameterOp>(op, map, symbolTable);
  if (failed(parameter))
    return failure();
  auto type = cast<RankedTensorType>(parameter->getParameterType());
  if (!type.getElementType().isInteger())
    return op->emitOpError() << "expected a map of integers, got " << type;
  return success();
}

LogicalResult
CheckBoundsOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  if (symbolTable.lookupNearestSymbolFrom<ParameterOp>(*this, getTableAttr()))
    return verifyRemap(*this, getTableAttr(), symbolTable);         // C1
  return lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable); // C1
}

LogicalResult RemapOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyRemap(*this, getMapAttr(), symbolTable); // C1
}

LogicalResult LookupOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto table = lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable);
  if (failed(table)) // C1
    return failure();
  Type row = getRows().getType().getElement();
  if (row != table->getType().getRowType()) // C2
    return emitOpError() << "expected rows of type "
                         << table->getType().getRowType() << ", got " << row;
  return success();
}

LogicalResult DequantizeOp::inferReturnTypes(MLIRContext *context,
                                             std::optional<Location> loc,
                                             ValueRange operands,
                                             DictionaryAttr, OpaqueProperties,
                                             RegionRange,
                                             SmallVectorImpl<Type> &types) {
  auto rows = dyn_cast<JaggedType>(operands.front().getType());
  auto row = rows ? dyn_cast<RowType>(rows.getElement()) : RowType();
  if (!row)
    return emitOptionalError(loc, "expected jagged stored rows, got ",
                             operands.front().getType());
  types.push_back(
      JaggedType::get(context, DequantizedType::get(context, row.getDim())));
  return success();
}
