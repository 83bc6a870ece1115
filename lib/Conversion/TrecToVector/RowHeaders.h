//===- RowHeaders.h - Scale and bias of a row -------------------*- C++ -*-===//
//
// Loads headers of two half floats, and gets a number of them into all lanes:
//
//   RowHeaders headers(b, configuration, rows); // in front of all loops
//   RowHeader header = headers.load({index, weight});
//   Value bias = headers.splat(header, RowHeaders::kBias, vectorType);
//
// Of `header = memory` a header is stored on the stack, and all lanes load a
// number from there. Only inline assembly keeps LLVM from making shuffles of
// that again: the number's way by registers looks shorter to it.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_ROWHEADERS_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_ROWHEADERS_H

#include "trec/Conversion/BagConfiguration.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

/// A row to be added; its weight is null where rows have none.
struct WeightedRow {
  Value index;
  Value weight;
};

/// A header, and where it was stored; null where it was not.
struct RowHeader {
  Value values; // a vector of f32
  Value slot;
};

/// Makes what reads headers, at the builder's insertion point.
class RowHeaders {
public:
  /// Where a header has its scale, and where its bias.
  static constexpr int64_t kScale = 0, kBias = 1;

  /// Makes room on the stack: in front of all loops.
  RowHeaders(ImplicitLocOpBuilder &builder,
             const BagConfiguration &configuration, Value rows);

  /// From now on nothing is stored, whatever the lowering says.
  void keepInRegisters() { slots.clear(); }

  /// Scale and bias of a row, times its weight. What follows the bias in
  /// `values` is no number of the header.
  RowHeader load(const WeightedRow &row);

  /// One of the numbers in all lanes.
  Value splat(const RowHeader &header, int64_t number, VectorType type);

  /// What all headers are of.
  Value getRows() const { return rows; }

  /// Numbers in the vectors that `load` gives.
  int64_t getNumNumbers() const;

private:
  ImplicitLocOpBuilder &b;
  const BagConfiguration &c;
  Value rows;
  SmallVector<Value> slots; // taken in turns, so that rows of a step have each
  size_t nextSlot = 0;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_ROWHEADERS_H
