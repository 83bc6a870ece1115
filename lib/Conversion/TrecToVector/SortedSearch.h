//===- SortedSearch.h - Rows of ids by binary search ------------*- C++ -*-===//
//
// Finds the rows of ids in a sorted map (`#trec.map`) some ids at a time, ahead
// of the place where they are read:
//
//   SortedSearch search(b, {ids, map});
//   search.begin(first, last);   // of the positions that a loop will visit
//   search.advance(position);    // in the loop, in order
//   Value row = search.getRow(position);
//   Value later = search.getRow(position + kLookAhead);
//
// A search by itself would wait for one load after the other. Searches for
// several ids take their steps together, and their loads overlap.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_SORTEDSEARCH_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_SORTEDSEARCH_H

#include "trec/IR/TrecDialect.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

class SortedSearch {
public:
  /// Positions ahead of the last one advanced to whose rows are known.
  static constexpr int64_t kLookAhead = 8;

  /// Builds the sizes of the map and room for rows: in front of all loops.
  SortedSearch(ImplicitLocOpBuilder &builder, Value ids, Value map);

  /// Positions are visited from `first` on; none is after `last`.
  void begin(Value first, Value last);
  /// Finds the rows of the ids behind those that are known, where `position` is
  /// the first that needs it.
  void advance(Value position);
  /// What the map gives for the id at a position.
  Value getRow(Value position);

private:
  void findRows(Value chunk);
  Value loadIds(Value chunk);
  Value countIdsBelow(Value ids);
  Value gather(Value memref, Value indices);
  Value gatherElement(Value pairs, int64_t element);
  Value splat(Value scalar);
  Value i64(int64_t value);

  ImplicitLocOpBuilder &b;
  Value ids, map, rows;
  // Pairs of the map, those that can be read, and of the latter number the
  // highest power of two and its bit; as i64, the bit as index.
  Value numPairs, numReadable, highestPower, highestBit;
  Value first, last;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_SORTEDSEARCH_H
