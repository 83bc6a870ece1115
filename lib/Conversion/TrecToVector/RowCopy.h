//===- RowCopy.h - Stored rows as outputs -----------------------*- C++ -*-===//
//
// Copies the bytes of a row, without its padding, to a row of the output, or
// fills that with zeros. All vectors of a row have one width: where it does not
// divide the row, the last begins within the one before it, so that nothing
// past either row is touched. 132 bytes at 64 are vectors from 0, 64 and 68.
//
//   RowCopy copy(b, row, vectorWidth);
//   copy.copyRow(rows, index, output, outputRow);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_ROWCOPY_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_ROWCOPY_H

#include "trec/IR/TrecDialect.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

/// Builds, where the builder stands, what writes one row of an output of bytes.
class RowCopy {
public:
  /// For vectors as wide as `vectorWidth` lanes of fp32.
  RowCopy(ImplicitLocOpBuilder &builder, RowType row, int64_t vectorWidth);

  /// Copies row `index` of `rows` to row `outputRow` of `output`.
  void copyRow(Value rows, Value index, Value output, Value outputRow);
  /// Fills row `outputRow`, that of an id without a row.
  void fillWithZeros(Value output, Value outputRow);

private:
  using VisitVector = function_ref<void(Value firstByte)>;
  void forEachVector(VisitVector visit);
  int64_t loopOverBlocks(VisitVector visit);
  Value index(int64_t value);

  ImplicitLocOpBuilder &b;
  int64_t rowBytes; // without padding
  VectorType type;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_ROWCOPY_H
