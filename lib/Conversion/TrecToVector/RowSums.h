//===- RowSums.h - Adding rows to the sums of a bag -------------*- C++ -*-===//
//
// The arithmetic of a kernel: what one row of a bag does to the bag's sums.
//
//   RowSums sums(b, configuration, headers, RowArithmetic::bias_once, pieces);
//   SmallVector<Value> values = sums.begin();
//   values = sums.addRow({index, weight}, values); // for each row
//   values = sums.finish(values); // one per accumulator of the pieces
//
// `in_order` has the roundings of the numeric contract. The others have fewer
// operations, and the same bits where all sums are exact.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_ROWSUMS_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_ROWSUMS_H

#include "RowHeaders.h"
#include "RowPieces.h"
#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

/// Makes sums in a kernel, at the builder's insertion point.
class RowSums {
public:
  /// Pieces of too few lanes for `row_pairs`, or whose codes are spread, are
  /// added by `bias_once`.
  RowSums(ImplicitLocOpBuilder &builder, const BagConfiguration &configuration,
          RowHeaders &headers, RowArithmetic arithmetic,
          ArrayRef<RowPiece> pieces);

  /// Whether rows are best added two at a time, by `addPair`.
  bool takesPairs() const { return arithmetic == RowArithmetic::row_pairs; }

  /// Whether sums are those of a certified bag: exact, and not in order.
  bool isCertified() const {
    return arithmetic != RowArithmetic::in_order && c.isCertified();
  }

  /// Sums of nothing. Certified ones begin at minus `start`, a scalar, so that
  /// they stay small on their way; the sum of the biases begins at `start`.
  SmallVector<Value> begin(Value start = {});
  SmallVector<Value> addRow(const WeightedRow &row, ValueRange sums);
  SmallVector<Value> addPair(const WeightedRow &first,
                             const WeightedRow &second, ValueRange sums);
  SmallVector<Value> finish(ValueRange sums);

private:
  SmallVector<Value> addFloats(const WeightedRow &row, ValueRange sums);
  SmallVector<Value> addInOrder(const WeightedRow &row, ValueRange sums);
  SmallVector<Value> addWithoutBias(const WeightedRow &row, ValueRange sums);
  Value makePairTable(const RowHeader &first, const RowHeader &second,
                      bool isExact);
  Value multiplyAdd(Value x, Value y, Value sum, bool productIsExact);
  Value broadcast(Value scalar, Type vector);
  VectorType getVectorType() {
    return VectorType::get({getLanes()}, b.getF32Type());
  }
  int64_t getLanes() const { return pieces.front().lanes; }

  ImplicitLocOpBuilder &b;
  const BagConfiguration &c;
  RowHeaders &headers;
  RowArithmetic arithmetic;
  ArrayRef<RowPiece> pieces;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_ROWSUMS_H
