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

/// True for the type that a map is stored as: its entries, and where they have
/// several elements those.
static bool isStorageOf(MapAttr map, RankedTensorType type) {
  int64_t width = map.getEntryWidth();
  if (type.getElementType() != map.getElementType())
    return false;
  return width == 1 ? type.getRank() == 1
                    : type.getRank() == 2 && type.getDimSize(1) == width;
}

LogicalResult ParameterOp::verify() {
  RankedTensorType type = getType();
  if (MapAttr map = getMapAttr()) {
    if (isStorageOf(map, type)) // C2
      return success();
    return emitOpError() << "expected a tensor of rank " << map.getEntryWidth()
                         << " of " << map.getElementType()
                         << (map.getEntryWidth() > 1 ? " with pairs" : "")
                         << " for a map of kind '"
                         << stringifyMapKind(map.getKind()) << "', got "
                         << type;
  }
  if (type.getRank() == 1 && type.hasStaticShape() &&
      type.getElementType().isF32()) // C1
    return success();
  return emitOpError()
         << "expected a static tensor of rank 1 of f32, or a map, "
            "got "
         << type;
}

std::optional<int64_t> ParameterOp::getNumEntries() {
  if (getType().isDynamicDim(0))
    return std::nullopt;
  return getType().getDimSize(0);
}

int64_t ParameterOp::getEntryBytes() {
  int64_t width = getMapAttr() ? getMapAttr().getEntryWidth() : 1;
  return width * getType().getElementTypeBitWidth() / 8;
}

LogicalResult mlir::trec::verifyRemap(Operation *op, FlatSymbolRefAttr map,
                                      SymbolTableCollection &symbolTable) {
  auto parameter = lookupSymbol<ParameterOp>(op, map, symbolTable);
  if (failed(parameter))
    return failure();
  if (!parameter->getMapAttr())
    return op->emitOpError() << "expected a parameter that maps ids, got "
                             << parameter->getType();
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

FailureOr<RowType> mlir::trec::inferStoredRow(std::optional<Location> loc,
                                              ValueRange operands) {
  auto rows = dyn_cast<JaggedType>(operands.front().getType());
  auto row = rows ? dyn_cast<RowType>(rows.getElement()) : RowType();
  if (!row)
    return emitOptionalError(loc, "expected jagged stored rows, got ",
                             operands.front().getType());
  return row;
}

LogicalResult DequantizeOp::inferReturnTypes(MLIRContext *context,
                                             std::optional<Location> loc,
                                             ValueRange operands,
                                             DictionaryAttr, OpaqueProperties,
                                             RegionRange,
                                             SmallVectorImpl<Type> &types) {
  FailureOr<RowType> row = inferStoredRow(loc, operands);
  if (failed(row))
    return failure();
  types.push_back(
      JaggedType::get(context, DequantizedType::get(context, row->getDim())));
  return success();
}
