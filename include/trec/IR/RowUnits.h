//===- RowUnits.h - A row cut into the loads of a GPU -----------*- C++ -*-===//
//
// A lane of a GPU loads a row unit by unit: codes by words of 4 bytes, which is
// what the header in front of them leaves aligned, other rows by 16 bytes.
//
//   RowUnits units = RowUnits::of(row);
//   int64_t perLane = llvm::divideCeil(units.count, lowering.getLanes());
//
// 100 INT8 columns are 25 units of 4 columns, 100 FP16 columns are 12 of 8 and
// one that begins with the last 4.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_ROWUNITS_H
#define TREC_IR_ROWUNITS_H

#include "trec/IR/TrecDialect.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::trec {

struct RowUnits {
  static constexpr int64_t kWordBytes = 4;

  int64_t bytes;   // of a unit
  int64_t columns; // of a unit
  int64_t count;   // the last may have columns that the row has not

  static RowUnits of(RowType row) {
    return ofBytes(row, row.isQuantized() ? kWordBytes : 4 * kWordBytes);
  }

  /// Units of other bytes, a power of two.
  static RowUnits ofBytes(RowType row, int64_t bytes) {
    int64_t columns = bytes * 8 / row.getBits();
    return {bytes, columns, int64_t(llvm::divideCeil(row.getDim(), columns))};
  }

  /// Registers that one unit is held in.
  int64_t getWords() const { return llvm::divideCeil(bytes, kWordBytes); }
};

/// From one row to the next in the memory of a GPU, where rows begin at
/// multiples of 16.
inline int64_t getDeviceRowBytes(RowType row) {
  return llvm::alignTo(row.getRowBytes(), 16);
}

} // namespace mlir::trec

#endif // TREC_IR_ROWUNITS_H
