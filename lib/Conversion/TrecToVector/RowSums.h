//===- RowSums.h - Adding rows to the sums of a bag -------------*- C++ -*-===//
//
// The arithmetic of a kernel: what one row of a bag does to the bag's sums.
//
//   RowSums sums(b, configuration, rows, RowArithmetic::bias_once, pieces);
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

#include "RowPieces.h"
#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

/// A row to be added; its weight is null where rows have none.
struct WeightedRow {
  Value index;
  Value weight;
};

/// Makes sums in a kernel, at the builder's insertion point.
class RowSums {
public:
  /// Pieces of too few lanes for `row_pairs`, or whose codes are spread, are
  /// added by `bias_once`.
  RowSums(ImplicitLocOpBuilder &builder, const BagConfiguration &configuration,
          Value rows, RowArithmetic arithmetic, ArrayRef<RowPiece> pieces);

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
  Value loadHeader(const WeightedRow &row);
  SmallVector<Value> addFloats(const WeightedRow &row, ValueRange sums);
  SmallVector<Value> addInOrder(const WeightedRow &row, ValueRange sums);
  SmallVector<Value> addWithoutBias(const WeightedRow &row, ValueRange sums);
  Value makePairTable(Value firstHeader, Value secondHeader, bool isExact);
  Value multiplyAdd(Value x, Value y, Value sum, bool productIsExact);
  Value broadcast(Value scalar, Type vector);
  Value scaleOf(Value header, Type vector);
  int64_t getLanes() const { return pieces.front().lanes; }

  ImplicitLocOpBuilder &b;
  const BagConfiguration &c;
  Value rows;
  RowArithmetic arithmetic;
  ArrayRef<RowPiece> pieces;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_ROWSUMS_H
