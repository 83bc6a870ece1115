//===- DeviceIds.h - From ids to rows on a GPU ------------------*- C++ -*-===//
//
// What stands between an id of the batch and a row of the table: the check of
// bounds and the map from ids to rows. Each lane resolves its own ids.
//
//   DeviceIds ids(b, configuration.remap, lookup);
//   ResolvedId resolved = ids.resolve(id, isThere);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_DEVICEIDS_H
#define TREC_LIB_CONVERSION_TRECTOGPU_DEVICEIDS_H

#include "Lookup.h"
#include "trec/IR/TrecDialect.h"

namespace mlir::trec {

/// The row in place of an id that has none. The host refuses tables with so
/// many.
constexpr int64_t kNoRow = -1;

struct ResolvedId {
  Value row;   // an i32, unsigned; kNoRow where there is none
  Value isBad; // out of bounds, and not -1
};

class DeviceIds {
public:
  /// Loads the sizes that ids are compared with: in front of all loops.
  DeviceIds(DeviceBuilder &builder, std::optional<MapKind> remap,
            const Lookup &lookup);

  /// The row of `id`, an i32 or i64. A bad id counts as id 0; -1, and what
  /// `isThere` says is no id, have no row. The latter must be -1 too.
  ResolvedId resolve(Value id, Value isThere);

private:
  ResolvedId resolveRow(Value id);
  Value toRow(Value row, Value isRow);
  Value mapIfAny(Value isThere, function_ref<Value()> map);
  Value searchHashTable(Value id);
  Value hash(Value id);
  Value probe(Value id, Value firstSlot);
  Value searchSorted(Value id);
  Value countPairsBelow(Value id, Value numReadable);
  Value loadEntry(Value entry, int64_t element);

  DeviceBuilder &b;
  std::optional<MapKind> remap;
  Value numRows, numIds;
  Value map, numEntries; // slots or pairs
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_DEVICEIDS_H
