//===- RowSums.cpp - Adding rows to the sums of a bag ---------------------===//

#include "RowSums.h"
#include "HalfFloat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

/// Bits of an index into the sums of two codes of INT2.
static constexpr int64_t kPairBits = 4;

RowSums::RowSums(ImplicitLocOpBuilder &builder,
                 const BagConfiguration &configuration, RowHeaders &headers,
                 RowArithmetic arithmetic, ArrayRef<RowPiece> pieces)
    : b(builder), c(configuration), headers(headers), arithmetic(arithmetic),
      pieces(pieces) {
  if (takesPairs() &&
      (c.lowering.spreadsCodes() || !hasLookup(kPairBits, getLanes())))
    this->arithmetic = RowArithmetic::bias_once;
}

Value RowSums::broadcast(Value scalar, Type vector) {
  return vector::BroadcastOp::create(b, vector, scalar);
}

/// Sums start from +0, never from the first row: -0 must vanish. Nor are they
/// -0 where `start` is 0.
SmallVector<Value> RowSums::begin(Value start) {
  auto zero = [&](int64_t lanes) -> Value {
    auto type = VectorType::get({lanes}, b.getF32Type());
    return arith::ConstantOp::create(b, b.getZeroAttr(type));
  };
  Value sum = zero(getLanes()), biases = zero(headers.getNumNumbers());
  if (start) {
    sum = arith::SubFOp::create(b, sum, broadcast(start, sum.getType()));
    biases = broadcast(start, biases.getType());
  }
  SmallVector<Value> sums(
      pieces.size() * getAccumulatorsPerPiece(c.row, c.lowering), sum);
  if (arithmetic != RowArithmetic::in_order)
    sums.push_back(biases);
  return sums;
}

/// x * y + sum, rounded once. Where the product is exact, or rounding it is
/// allowed, a CPU without the instruction multiplies and adds.
Value RowSums::multiplyAdd(Value x, Value y, Value sum, bool productIsExact) {
  if (c.lowering.getFma() == FmaMode::hardware ||
      (!productIsExact && c.lowering.getNumerics() == Numerics::fbgemm))
    return math::FmaOp::create(b, x, y, sum);
  return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y), sum);
}

SmallVector<Value> RowSums::addRow(const WeightedRow &row, ValueRange sums) {
  if (!c.row.isQuantized())
    return addFloats(row, sums);
  return arithmetic == RowArithmetic::in_order ? addInOrder(row, sums)
                                               : addWithoutBias(row, sums);
}

SmallVector<Value> RowSums::addFloats(const WeightedRow &row, ValueRange sums) {
  SmallVector<Value> result;
  for (const RowPiece &piece : pieces)
    for (Value element :
         loadPiece(b, headers.getRows(), row.index, piece, c.row, c.lowering)) {
      Value sum = sums[result.size()];
      result.push_back(row.weight
                           ? multiplyAdd(broadcast(row.weight, sum.getType()),
                                         element, sum, /*productIsExact=*/false)
                           : arith::AddFOp::create(b, sum, element));
    }
  return result;
}

SmallVector<Value> RowSums::addInOrder(const WeightedRow &row,
                                       ValueRange sums) {
  auto type = getVectorType();
  RowHeader header = headers.load(row);
  Value scale = headers.splat(header, RowHeaders::kScale, type);
  Value bias = headers.splat(header, RowHeaders::kBias, type);
  SmallVector<Value> result;
  for (const RowPiece &piece : pieces)
    for (Value element :
         loadPiece(b, headers.getRows(), row.index, piece, c.row, c.lowering)) {
      Value sum = arith::AddFOp::create(b, sums[result.size()], bias);
      // A code has at most 8 bits and a half float 11: 19 fit into a float.
      result.push_back(multiplyAdd(element, scale, sum,
                                   /*productIsExact=*/!row.weight));
    }
  return result;
}

/// The last sum is that of the headers, of which the biases are wanted.
SmallVector<Value> RowSums::addWithoutBias(const WeightedRow &row,
                                           ValueRange sums) {
  RowHeader header = headers.load(row);
  Value scale = headers.splat(header, RowHeaders::kScale, getVectorType());
  SmallVector<Value> result;
  for (const RowPiece &piece : pieces)
    for (Value element :
         loadPiece(b, headers.getRows(), row.index, piece, c.row, c.lowering))
      result.push_back(multiplyAdd(element, scale, sums[result.size()],
                                   /*productIsExact=*/!row.weight));
  result.push_back(arith::AddFOp::create(b, sums.back(), header.values));
  return result;
}

/// All sums of a code times scale of one row and one of another.
Value RowSums::makePairTable(const RowHeader &first, const RowHeader &second,
                             bool isExact) {
  Value firstCodes =
      makeNumbers(b, getLanes(), [](int64_t lane) { return lane & 3; });
  Value secondCodes =
      makeNumbers(b, getLanes(), [](int64_t lane) { return lane >> 2; });
  auto type = getVectorType();
  Value firstScale = headers.splat(first, RowHeaders::kScale, type);
  Value secondScale = headers.splat(second, RowHeaders::kScale, type);
  Value values = arith::MulFOp::create(b, firstCodes, firstScale);
  return multiplyAdd(secondCodes, secondScale, values, isExact);
}

SmallVector<Value> RowSums::addPair(const WeightedRow &first,
                                    const WeightedRow &second,
                                    ValueRange sums) {
  RowHeader firstHeader = headers.load(first);
  RowHeader secondHeader = headers.load(second);
  Value table = makePairTable(firstHeader, secondHeader, !first.weight);
  SmallVector<Value> result;
  for (const RowPiece &piece : pieces)
    for (Value codes : loadCodePairs(b, headers.getRows(),
                                     {first.index, second.index}, piece)) {
      Value value = lookUp(b, table, codes, kPairBits);
      result.push_back(arith::AddFOp::create(b, sums[result.size()], value));
    }
  Value both =
      arith::AddFOp::create(b, firstHeader.values, secondHeader.values);
  result.push_back(arith::AddFOp::create(b, sums.back(), both));
  return result;
}

SmallVector<Value> RowSums::finish(ValueRange sums) {
  if (arithmetic == RowArithmetic::in_order)
    return llvm::to_vector(sums);
  Value bias = vector::ExtractOp::create(b, sums.back(), RowHeaders::kBias);
  SmallVector<Value> result;
  for (Value sum : sums.drop_back())
    result.push_back(
        arith::AddFOp::create(b, sum, broadcast(bias, sum.getType())));
  return result;
}
