//===- Maps.cpp - From ids to rows by maps --------------------------------===//
//
// What each kind of `#trec.map` gives for an id.
//
//===----------------------------------------------------------------------===//

#include "OpMeanings.h"
#include "trec/Runtime/KernelABI.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Expected;

/// The row of an id that a map does not have.
static constexpr int64_t noRow = -1;
/// In place of the id of an empty slot.
static constexpr int64_t emptySlot = -1;

static int64_t searchHashTable(const BoundMap &map, int64_t id) {
  int64_t slots = map.getNumEntries();
  for (int64_t i = 0; i < slots; ++i) {
    int64_t slot = (trec_hash_id(uint32_t(id)) + i) % slots;
    int64_t stored = map.elements[2 * slot];
    if (stored == id)
      return map.elements[2 * slot + 1];
    if (stored == emptySlot)
      break;
  }
  return noRow;
}

static int64_t searchSorted(const BoundMap &map, int64_t id) {
  int64_t entries = map.getNumEntries();
  auto found =
      llvm::lower_bound(llvm::seq(entries), id, [&](int64_t entry, int64_t id) {
        return map.elements[2 * entry] < id;
      });
  bool isThere = *found < entries && map.elements[2 * *found] == id;
  return isThere ? map.elements[2 * *found + 1] : entries - 1;
}

static int64_t findRow(const BoundMap &map, int64_t id) {
  switch (map.kind.getKind()) {
  case MapKind::array:
    return map.elements[id];
  case MapKind::hash_table:
    return searchHashTable(map, id);
  case MapKind::sorted:
    return searchSorted(map, id);
  }
  llvm_unreachable("all kinds of maps are listed");
}

Expected<Ids> mlir::trec::remapIds(const Ids &ids, const BoundMap &map) {
  Ids remapped = ids;
  std::optional<int64_t> numIds = map.getNumIds();
  for (int64_t &id : remapped.elements) {
    if (numIds && id == -1)
      continue;
    // What a bad id becomes; a map for no ids prunes it.
    if (numIds == 0 && id == 0) {
      id = noRow;
      continue;
    }
    if (numIds && (id < 0 || id >= *numIds))
      return createStringError("id " + Twine(id) + " of feature \"" +
                               ids.feature + "\" is outside its map of " +
                               Twine(*numIds) + " ids");
    id = findRow(map, id);
  }
  return remapped;
}
