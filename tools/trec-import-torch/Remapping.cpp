//===- Remapping.cpp - Maps from ids to rows of pruned tables -------------===//

#include "Remapping.h"

#include "StoredValues.h"
#include "trec/Runtime/KernelABI.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

using namespace mlir::trec;

const char mlir::trec::prunedMapClass[] = "torch.classes.fbgemm.PrunedMapCPU";

/// As FBGEMM fills its own: half of the slots, in steps of 32.
static constexpr int64_t slotsPerRow = 2, slotStep = 32;
static constexpr int32_t noRow = -1, emptySlot = -1;

namespace {

/// The rows of one table's ids; those that are not there are pruned.
using RowsOfIds = std::map<int32_t, int32_t>;

class MapBinder {
public:
  MapBinder(Lookup &lookup, const Remapping &remapping,
            const std::string &where)
      : lookup(lookup), remapping(remapping), where(where) {}

  void bind();

private:
  std::vector<int64_t> countIds() const;
  void checkPlaces(const std::vector<int64_t> &places, int64_t entries) const;
  at::Tensor readEntries() const;
  void bindTensor(const std::vector<int64_t> &numIds);
  Archive loadState(const std::string &state) const;
  std::vector<RowsOfIds> readObject(const std::vector<int64_t> &numIds) const;
  void bindObject(const std::vector<int64_t> &numIds);
  [[noreturn]] void fail(const std::string &message) const {
    throw ReadError(where + ": " + message);
  }

  Lookup &lookup;
  const Remapping &remapping;
  const std::string &where;
};

} // namespace

static StoredMap makeMap(const at::Tensor &entries,
                         std::optional<int64_t> numIds) {
  StoredMap map;
  map.kind = numIds ? "hash_table" : "array";
  map.entries = entries.size(0);
  map.numIds = numIds;
  map.data = static_cast<const uint8_t *>(entries.const_data_ptr());
  map.bytes = int64_t(entries.nbytes());
  map.owner = std::make_shared<at::Tensor>(entries);
  return map;
}

/// By rising id, as FBGEMM fills a table of them.
static at::Tensor fillHashTable(const RowsOfIds &rows) {
  auto stored = std::max<int64_t>(int64_t(rows.size()), 1);
  int64_t slots = (slotsPerRow * stored + slotStep - 1) / slotStep * slotStep;
  at::Tensor table = at::full({slots, 2}, emptySlot, at::kInt);
  int32_t *elements = table.mutable_data_ptr<int32_t>();
  for (auto [id, row] : rows) {
    int64_t slot = trec_hash_id(uint32_t(id)) % slots;
    while (elements[2 * slot] != emptySlot)
      slot = (slot + 1) % slots;
    elements[2 * slot] = id;
    elements[2 * slot + 1] = row;
  }
  return table;
}

/// A table without a map, among others that have one, has each id at its row.
static bool isIdentity(const RowsOfIds &rows, int64_t numIds, int64_t numRows) {
  return numIds == numRows && int64_t(rows.size()) == numRows &&
         std::all_of(rows.begin(), rows.end(),
                     [](auto entry) { return entry.first == entry.second; });
}

/// By table; FBGEMM keeps them by feature.
std::vector<int64_t> MapBinder::countIds() const {
  if (remapping.numIds.size() != lookup.featureTables.size())
    fail("expected numbers of ids before pruning of " +
         std::to_string(lookup.featureTables.size()) + " features, got " +
         std::to_string(remapping.numIds.size()));
  std::vector<int64_t> numIds;
  for (const StoredTable &table : lookup.tables)
    numIds.push_back(table.rows);
  for (size_t i = 0; i < remapping.numIds.size(); ++i)
    numIds[lookup.featureTables[i]] = remapping.numIds[i];
  return numIds;
}

void MapBinder::checkPlaces(const std::vector<int64_t> &places,
                            int64_t entries) const {
  if (places.size() != lookup.tables.size() + 1 || places.front() < 0 ||
      places.back() > entries || !std::is_sorted(places.begin(), places.end()))
    fail("expected maps of " + std::to_string(lookup.tables.size()) +
         " tables, one after the other in " + std::to_string(entries) +
         " entries, got other offsets");
}

/// All entries of all tables, as rows or as pairs of an id and its row.
at::Tensor MapBinder::readEntries() const {
  if (!remapping.stored.isTensor())
    fail("expected ids that are remapped by a tensor, got none");
  at::Tensor entries =
      narrowIntegers(remapping.stored.toTensor(), where + ": remapping of ids");
  bool isArray = remapping.kind == Remapping::Kind::array;
  if (isArray ? entries.dim() != 1 : entries.dim() != 2 || entries.size(1) != 2)
    fail(std::string("expected ids that are remapped by ") +
         (isArray ? "a vector of rows" : "pairs of an id and a row") +
         ", got a tensor of another shape");
  return entries;
}

void MapBinder::bindTensor(const std::vector<int64_t> &numIds) {
  at::Tensor entries = readEntries();
  const std::vector<int64_t> &places = remapping.places;
  checkPlaces(places, entries.size(0));
  bool isArray = remapping.kind == Remapping::Kind::array;
  for (size_t i = 0; i < lookup.tables.size(); ++i) {
    int64_t count = places[i + 1] - places[i];
    // No entries are an array of no ids, or no map.
    if (!count && !(isArray && numIds[i] == 0))
      continue;
    if (isArray && count != numIds[i])
      fail("expected a row for each of the " + std::to_string(numIds[i]) +
           " ids of table " + std::to_string(i) + ", got " +
           std::to_string(count));
    lookup.tables[i].map =
        makeMap(entries.slice(0, places[i], places[i + 1]),
                isArray ? std::nullopt : std::optional(numIds[i]));
  }
}

Archive MapBinder::loadState(const std::string &state) const {
  try {
    return loadStoredArchive(state);
  } catch (const ReadError &error) {
    fail(std::string("PrunedMapCPU: ") + error.what());
  }
}

/// The object's state is an archive of the pairs of all tables.
std::vector<RowsOfIds>
MapBinder::readObject(const std::vector<int64_t> &numIds) const {
  const c10::IValue &stored = remapping.stored;
  if (!stored.isObject() ||
      className(stored.toObject()->type()) != prunedMapClass ||
      stored.toObject()->slots().empty() ||
      !stored.toObject()->slots().front().isString())
    fail("expected ids that are remapped by FBGEMM's PrunedMapCPU, got "
         "something else");
  Archive archive = loadState(stored.toObject()->slots().front().toStringRef());
  Attributes state(archive.module._ivalue(), where + ": PrunedMapCPU");
  at::Tensor values =
      narrowIntegers(state.getTensor("values"), where + ": PrunedMapCPU");
  std::vector<int64_t> places =
      readIntegers(state.getTensor("table_offsets"), where + ": PrunedMapCPU");
  if (values.dim() != 2 || values.size(1) != 2)
    fail("expected a PrunedMapCPU of pairs, got a tensor of another shape");
  checkPlaces(places, values.size(0));
  const int32_t *pairs = values.const_data_ptr<int32_t>();
  std::vector<RowsOfIds> rows(lookup.tables.size());
  for (size_t table = 0; table < rows.size(); ++table)
    for (int64_t i = places[table]; i < places[table + 1]; ++i) {
      int32_t id = pairs[2 * i], row = pairs[2 * i + 1];
      if (row < noRow)
        fail("expected a PrunedMapCPU of rows from -1 on, got " +
             std::to_string(row));
      // Others are never asked for.
      if (id >= 0 && id < numIds[table] && row != noRow)
        rows[table].emplace(id, row);
    }
  return rows;
}

void MapBinder::bindObject(const std::vector<int64_t> &numIds) {
  std::vector<RowsOfIds> rows = readObject(numIds);
  for (size_t i = 0; i < rows.size(); ++i)
    if (!isIdentity(rows[i], numIds[i], lookup.tables[i].rows))
      lookup.tables[i].map = makeMap(fillHashTable(rows[i]), numIds[i]);
}

void MapBinder::bind() {
  std::vector<int64_t> numIds = countIds();
  if (remapping.kind == Remapping::Kind::object)
    bindObject(numIds);
  else
    bindTensor(numIds);
}

void mlir::trec::bindMaps(Lookup &lookup, const Remapping &remapping,
                          const std::string &where) {
  if (remapping.kind != Remapping::Kind::none)
    MapBinder(lookup, remapping, where).bind();
}
