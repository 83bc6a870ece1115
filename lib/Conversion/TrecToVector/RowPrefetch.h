//===- RowPrefetch.h - Fetching rows before they are added ------*- C++ -*-===//
//
// A row that is not in the cache is waited for unless it has been asked for
// early. Kernels ask in two steps, as their lowering says: rows far ahead into
// the second level of the cache, which takes many requests at once, and rows
// near into the first:
//
//   RowPrefetch prefetch(b, configuration, rows, resolver);
//   prefetch.setLast(lastPosition, fetchesFar); // before all loops
//   prefetch.fetchAhead(position, /*count=*/1); // in them
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_ROWPREFETCH_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_ROWPREFETCH_H

#include "IdResolution.h"
#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

/// Makes fetches in a kernel, at the builder's insertion point.
class RowPrefetch {
public:
  RowPrefetch(ImplicitLocOpBuilder &builder,
              const BagConfiguration &configuration, Value rows,
              IdResolver &resolver)
      : b(builder), c(configuration), rows(rows), resolver(resolver) {}

  /// Nothing is fetched past the id at `last`; into the second level nothing
  /// where `fetchesFar` is 0, else as many rows together as `far_group` says,
  /// or where that is 0 `fetchesFar`.
  void setLast(Value last, Value fetchesFar);
  /// Fetches what the lowering wants fetched when the `count` ids from
  /// `position` on are added.
  void fetchAhead(Value position, int64_t count);

private:
  enum class CacheLevel : uint32_t { second = 2, first = 3 };

  void fetch(Value position, CacheLevel level);
  void fetchIfAny(Value position, int64_t count, Value last, CacheLevel level);
  void fetchFar(Value position, int64_t count);
  void fetchFarGroup(Value position);
  Value index(int64_t value);

  ImplicitLocOpBuilder &b;
  const BagConfiguration &c;
  Value rows;
  IdResolver &resolver;
  Value last;
  // Into the second level; -1: none is fetched that way, null: nor has code.
  Value lastAlone, lastInGroups;
  Value farGroup, groupMask; // in rows; a group begins where no bit is set
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_ROWPREFETCH_H
