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

/// The dims of the keys of several KeyedTensors; nothing for a key that is not
/// the only one of its name.
static llvm::DenseMap<StringAttr, std::optional<int64_t>>
collectDims(ValueRange keyed) {
  llvm::DenseMap<StringAttr, std::optional<int64_t>> dims;
  for (Value operand : keyed) {
    auto type = cast<KeyedTensorType>(operand.getType());
    for (auto [key, dim] : llvm::zip(type.getKeys(), type.getDims())) {
      auto [entry, isNew] = dims.try_emplace(key, dim);
      if (!isNew)
        entry->second = std::nullopt;
    }
  }
  return dims;
}

LogicalResult RegroupOp::verify() {
  TensorDictType dict = getDict().getType();
  if (getGroups().size() != dict.getKeys().size()) // C1
    return emitOpError() << "expected " << dict.getKeys().size()
                         << " groups, one per key of the result, got "
                         << getGroups().size();
  for (Value operand : getKeyed())
    if (auto type = cast<KeyedTensorType>(operand.getType());
        type.getElement() != dict.getElement()) // C4
      return emitOpError() << "expected operands of " << dict.getElement()
                           << ", got " << type;
  auto dims = collectDims(getKeyed());
  for (auto [group, key, expected] :
       llvm::zip(getGroups().getAsRange<ArrayAttr>(), dict.getKeys(),
                 dict.getDims())) {
    if (group.empty()) // C1
      return emitOpError() << "expected keys in group " << key << ", got none";
    int64_t total = 0;
    for (auto name : group.getAsRange<StringAttr>()) {
      auto found = dims.find(name);
      if (found == dims.end() || !found->second) // C2
        return emitOpError()
               << "expected key " << name << " of group " << key
               << " once among the keys of its operands, got "
               << (found == dims.end() ? "no such key" : "several");
      total += *found->second;
    }
    if (total != expected) // C3
      return emitOpError() << "expected a dim of " << total << " for group "
                           << key << ", the sum of its keys', got " << expected;
  }
  return success();
}
