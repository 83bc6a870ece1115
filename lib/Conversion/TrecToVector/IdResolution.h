//===- IdResolution.h - From ids to rows ------------------------*- C++ -*-===//
//
// What stands between an id of the batch and a row of the table: the check of
// bounds with its report, and the map from ids to rows.
//
//   IdResolver resolver(b, configuration.remap, {ids, rows, report, remap, n});
//   auto [row, isRow] = resolver.resolve(position, /*isFirstPass=*/true);
//   Value ahead = resolver.resolveAhead(later); // for a prefetch
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_IDRESOLUTION_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_IDRESOLUTION_H

#include "SortedSearch.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

/// The arguments of a kernel that ids are resolved with (BagKernel.h).
struct IdArguments {
  Value ids;
  Value rows;
  Value report;
  Value remap;  // not read where ids are rows
  Value numIds; // likewise
};

/// Builds, where the builder stands, what finds the row of an id.
class IdResolver {
public:
  /// Builds the sizes that ids are compared with: in front of all loops.
  IdResolver(ImplicitLocOpBuilder &builder, std::optional<MapKind> remap,
             const IdArguments &arguments);

  /// Whether it has to be told in which order positions are visited, because it
  /// finds the rows of several ids together.
  bool isOrdered() const { return search.has_value(); }
  /// Positions are visited from `first` on; none is after `last`.
  void begin(Value first, Value last) { search->begin(first, last); }
  /// Readies what is asked of `position` and of those that are looked ahead to.
  void advance(Value position) { search->advance(position); }
  /// How far ahead of the position advanced to rows may be asked for.
  int64_t getLookAhead() const;

  /// The row to read for the id at `position`, and whether there is one: a bad
  /// id counts as id 0, and -1 gives none. The first pass over a bag reports
  /// bad ids.
  std::pair<Value, Value> resolve(Value position, bool isFirstPass);

  /// Whether the rows of several ids can be had at once.
  bool resolvesTogether() const { return !remap; }
  /// The rows of the `count` ids from `position` on, and whether all of these
  /// are in bounds; else they are to be resolved one by one.
  std::pair<SmallVector<Value>, Value> resolveTogether(Value position,
                                                       int64_t count);

  /// A row near enough to prefetch for the id at `position`: its row, if it
  /// has one. Where ids are rows that of a bad id is none: its address may only
  /// be fetched from.
  Value resolveAhead(Value position);

private:
  std::pair<Value, Value> checkId(Value position, bool isFirstPass);
  std::pair<Value, Value> remapChecked(Value id, Value isId);
  Value remapId(Value id);
  Value searchHashTable(Value id);
  Value hash(Value id);
  Value probe(Value id, Value firstSlot);
  void reportBadId(Value position);
  Value clampId(Value id, Value limit);
  Value isBelow(Value id, Value limit);
  Value loadIndex(Value memref, Value position);
  Value loadSlot(Value slot, int64_t element);

  ImplicitLocOpBuilder &b;
  std::optional<MapKind> remap;
  IdArguments arguments;
  Value numRows;                      // of the table
  Value numIds;                       // ids below it are good
  Value numSlots;                     // of a hash table
  std::optional<SortedSearch> search; // in a sorted map
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_IDRESOLUTION_H
