//===- RowVectors.h - How a row is cut into vectors -------------*- C++ -*-===//
//
// What kernels read a row in, and what is known of it before there is one:
//
//   int64_t loads = cutIntoVectors(row, lowering).pieces;
//
//===----------------------------------------------------------------------===//

#ifndef TREC_CONVERSION_ROWVECTORS_H
#define TREC_CONVERSION_ROWVECTORS_H

#include "trec/IR/TrecDialect.h"

namespace mlir::trec {

/// A row in vectors, as `convert-trec-to-vector` cuts it.
struct RowVectors {
  int64_t lanes;    // of one vector; a power of two
  int64_t perPiece; // accumulators that what is loaded at once goes to
  int64_t pieces;   // that are loaded
};

RowVectors cutIntoVectors(RowType row, LoweringConfigAttr lowering);

/// With vectors of so many lanes. `isSpread`: where codes share bytes, each
/// lane has a code of its own.
RowVectors cutIntoVectors(RowType row, int64_t vectorWidth, bool isSpread);

} // namespace mlir::trec

#endif // TREC_CONVERSION_ROWVECTORS_H
