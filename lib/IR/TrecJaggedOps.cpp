//===- TrecJaggedOps.cpp - Features of a batch and their weights ----------===//
//
// Verifiers of the ops in TrecJaggedOps.td.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace mlir::trec;

LogicalResult mlir::trec::verifyBatchHasKey(Operation *op, KJTType kjt,
                                            StringRef key) {
  if (kjt.getKeyIndex(key))
    return success();
  return op->emitOpError() << "expected a key of the batch, got \"" << key
                           << '"';
}

LogicalResult FeatureOp::verify() {
  if (failed(verifyBatchHasKey(*this, getKjt().getType(), getKey()))) // C1
    return failure();
  return verifyLength([&] { return emitOpError(); }, getLength()); // C2
}

LogicalResult SampleWeightsOp::verify() {
  KJTType kjt = getKjt().getType();
  if (failed(verifyBatchHasKey(*this, kjt, getKey()))) // C1
    return failure();
  if (!kjt.getWeighted()) // C2
    return emitOpError("expected a weighted batch");
  return success();
}

LogicalResult
mlir::trec::verifyPositionWeights(Operation *op, FlatSymbolRefAttr weights,
                                  SymbolTableCollection &symbolTable) {
  auto parameter = lookupSymbol<ParameterOp>(op, weights, symbolTable);
  if (failed(parameter))
    return failure();
  auto type = cast<RankedTensorType>(parameter->getParameterType());
  if (!type.getElementType().isF32())
    return op->emitOpError() << "expected weights of f32, got " << type;
  return success();
}

LogicalResult
PositionWeightsOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyPositionWeights(*this, getParameterAttr(), symbolTable); // C1
}

LogicalResult MaterializeOp::verify() {
  auto values = cast<DequantizedType>(getValues().getType().getElement());
  auto rows = cast<VectorType>(getRows().getType().getElement());
  if (rows.getDimSize(0) != values.getDim()) // C1
    return emitOpError() << "expected a vector of " << values.getDim()
                         << " elements, got " << rows;
  return success();
}

LogicalResult StoredBytesOp::inferReturnTypes(MLIRContext *context,
                                              std::optional<Location> loc,
                                              ValueRange operands,
                                              DictionaryAttr, OpaqueProperties,
                                              RegionRange,
                                              SmallVectorImpl<Type> &types) {
  FailureOr<RowType> row = inferStoredRow(loc, operands);
  if (failed(row))
    return failure();
  Type byte = IntegerType::get(context, 8);
  types.push_back(JaggedType::get(
      context, VectorType::get({row->getOutputDim(byte)}, byte)));
  return success();
}

LogicalResult JaggedDictOp::verify() {
  JaggedDictType dict = getDict().getType();
  if (getRows().size() != dict.getKeys().size()) // C1
    return emitOpError() << "expected " << dict.getKeys().size()
                         << " operands, one per key, got " << getRows().size();
  for (auto [rows, key, dim] :
       llvm::zip(getRows(), dict.getKeys(), dict.getDims())) {
    Type expected = VectorType::get({dim}, dict.getElement());
    Type element = cast<JaggedType>(rows.getType()).getElement();
    if (element != expected) // C2
      return emitOpError() << "expected rows of " << expected << " for key "
                           << key << ", got " << element;
  }
  return success();
}
