//===- Remapping.h - Maps from ids to rows of pruned tables -----*- C++ -*-===//
//
// FBGEMM stores the maps of all tables of a lookup together: as one array, as
// one hash table, or as an object that a CPU asks. Here each table gets its
// own, as trec.export writes it:
//
//   Remapping remapping;
//   remapping.kind = Remapping::Kind::array;
//   remapping.stored = rows;
//   bindMaps(lookup, remapping, "module 'tbes.0'"); // throws ReadError
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_REMAPPING_H
#define TREC_IMPORT_TORCH_REMAPPING_H

#include "Lookup.h"

namespace mlir::trec {

/// The class of the object.
extern const char prunedMapClass[];

struct Remapping {
  enum class Kind { none, array, hashTable, object };
  Kind kind = Kind::none;
  /// A tensor, or the object.
  c10::IValue stored;
  /// Where the entries of each table begin in the tensor, and the end.
  std::vector<int64_t> places;
  /// For each feature the ids before pruning.
  std::vector<int64_t> numIds;
};

/// Gives each table its map; none where its ids are rows.
void bindMaps(Lookup &lookup, const Remapping &remapping,
              const std::string &where);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_REMAPPING_H
