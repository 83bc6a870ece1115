//===- LookupCost.h - What one lookup reads and takes -----------*- C++ -*-===//
//
// The bytes, the cache lines and the time of one lookup, as far as they can be
// told from the types, for the report. The time is a model: that of computing
// or that of waiting for memory, whichever is longer, for they overlap.
//
//   computing = (vector operations / 2 + other instructions / 4) cycles of 3
//   GHz waiting   = a time for a row and a time for each of its lines, by where
//   rows
//               of a table of this size are (`SizeClass`)
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TARGET_LOOKUPCOST_H
#define TREC_LIB_TARGET_LOOKUPCOST_H

#include "trec/Transforms/SelectLowering.h"

namespace mlir::trec {

/// Cache lines that one lookup touches on average over all rows of a table: a
/// row that starts within a line may straddle one more.
double averageLines(RowType row);

/// Nanoseconds that one lookup in a table of this size is predicted to take,
/// with an output of these elements.
double predictLookup(RowType row, Type outputElement, SizeClass size,
                     LoweringConfigAttr lowering);

} // namespace mlir::trec

#endif // TREC_LIB_TARGET_LOOKUPCOST_H
