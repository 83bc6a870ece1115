//===- TrecPoolingOps.cpp - Pooling and the pooled output -----------------===//
//
// Verifiers, types and folds of the ops in TrecPoolingOps.td.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace mlir::trec;

LogicalResult PoolOp::inferReturnTypes(MLIRContext *context,
                                       std::optional<Location> loc,
                                       ValueRange operands, DictionaryAttr,
                                       OpaqueProperties, RegionRange,
                                       SmallVectorImpl<Type> &types) {
  auto values = dyn_cast<JaggedType>(operands.front().getType());
  auto row = values ? dyn_cast<DequantizedType>(values.getElement())
                    : DequantizedType();
  if (!row)
    return emitOptionalError(loc, "expected jagged dequantized rows, got ",
                             operands.front().getType());
  types.push_back(RankedTensorType::get({ShapedType::kDynamic, row.getDim()},
                                        Float32Type::get(context)));
  return success();
}

LogicalResult CastOutputOp::verify() {
  auto from = cast<RankedTensorType>(getPooled().getType());
  auto to = cast<RankedTensorType>(getResult().getType());
  if (from.getShape() != to.getShape()) // C1
    return emitOpError() << "expected a result of the shape of " << from
                         << ", got " << to;
  return success();
}

OpFoldResult CastOutputOp::fold(FoldAdaptor) {
  return getPooled().getType() == getResult().getType()
             ? OpFoldResult(getPooled())
             : OpFoldResult();
}

LogicalResult KeyedTensorOp::verify() {
  KeyedTensorType keyed = getKeyed().getType();
  if (getPooled().size() != keyed.getKeys().size()) // C1
    return emitOpError() << "expected " << keyed.getKeys().size()
                         << " operands, one per key, got "
                         << getPooled().size();
  for (auto [pooled, key, dim] :
       llvm::zip(getPooled(), keyed.getKeys(), keyed.getDims())) {
    auto type = cast<RankedTensorType>(pooled.getType());
    if (type.getDimSize(1) != dim ||
        type.getElementType() != keyed.getElement()) // C2
      return emitOpError() << "expected " << dim << " columns of "
                           << keyed.getElement() << " for key " << key
                           << ", got " << type;
  }
  return success();
}
