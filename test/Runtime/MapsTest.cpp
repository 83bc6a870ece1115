// Maps of pairs: which of them a model takes, what kernels see of them, and what is said of those that are refused.
#include "Variants.h"

using namespace trectest;

namespace {

enum { NUM_SLOTS = 8, NUM_IDS = 100 };

/// The finaliser of 32-bit MurmurHash3, for tables that searches can be made in.
uint32_t hashOf(uint32_t h) {
  h = (h ^ h >> 16) * 0x85ebca6b;
  h = (h ^ h >> 13) * 0xc2b2ae35;
  return h ^ h >> 16;
}

/// Slots with these ids, each of them mapped to its tenth.
std::vector<int32_t> slotsOf(const std::vector<int32_t> &ids) {
  std::vector<int32_t> slots(2 * NUM_SLOTS, -1);
  for (int32_t id : ids) {
    uint32_t slot = hashOf(id) % NUM_SLOTS;
    while (slots[2 * slot] != -1)
      slot = (slot + 1) % NUM_SLOTS;
    slots[2 * slot] = id;
    slots[2 * slot + 1] = id / 10;
  }
  return slots;
}

/// The image with p2 of another kind, and what kernels were called with.
struct MapImage : ParameterImage {
  MapImage(int64_t kind, int64_t count, int64_t type) { parameters[1] = {18, count, type, kind, NUM_IDS}; }
};

int32_t create(const MapImage &image, const void *map, int64_t rows, int64_t rowBytes, Error &error) {
  ParameterTables tables;
  tables.parameters[1] = {map, rows, rowBytes};
  return tryCreate(tables.options(), error, image);
}

int32_t createHashTable(const std::vector<int32_t> &slots, Error &error) {
  const MapImage image(TREC_MAP_HASH_TABLE, -1, TREC_INT32);
  return create(image, slots.data(), static_cast<int64_t>(slots.size() / 2), 8, error);
}

int32_t createSorted(const std::vector<int64_t> &pairs, Error &error) {
  const MapImage image(TREC_MAP_SORTED, -1, TREC_INT64);
  return create(image, pairs.data(), static_cast<int64_t>(pairs.size() / 2), 16, error);
}

const std::string origin = "caller's parameters: parameter \"p2\" ";

trec_bag_args seen;
void noteArguments(const trec_bag_args *args, int64_t, int64_t) {
  if (args->remap)
    seen = *args;
}
const trec_kernel noting[] = {noteArguments, noteArguments, noteArguments, noteArguments,
                              noteArguments, noteArguments, noteArguments, noteArguments};

/// What the kernels of a model with this map are told of it.
trec_bag_args argumentsFor(MapImage &image, const void *map, int64_t rows, int64_t rowBytes) {
  ParameterTables tables;
  tables.parameters[1] = {map, rows, rowBytes};
  image.level.kernels = noting;
  Model model(tables.options(), image);
  Batch batch({{{1}}, {{2}}, {{3}}});
  const trec_forward_args args = batch.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  return seen;
}

} // namespace

TEST(Maps, KernelsAreToldOfSlotsAndIds) {
  MapImage image(TREC_MAP_HASH_TABLE, NUM_SLOTS, TREC_INT32);
  const std::vector<int32_t> slots = slotsOf({7, 40, 99});
  const trec_bag_args args = argumentsFor(image, slots.data(), NUM_SLOTS, 8);
  EXPECT_EQ(args.remap, slots.data());
  EXPECT_EQ(args.num_remap, 2 * NUM_SLOTS);
  EXPECT_EQ(args.num_ids, NUM_IDS);
}

// A search must end somewhere.
TEST(Maps, AnEmptyHashTableHasAnEmptySlot) {
  MapImage image(TREC_MAP_HASH_TABLE, 0, TREC_INT32);
  ParameterTables tables;
  tables.parameters[1] = {nullptr, 0, 8};
  image.level.kernels = noting;
  Model model(tables.options(), image);
  Batch batch({{{1}}, {{2}}, {{3}}});
  const trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(seen.num_remap, 2);
  EXPECT_EQ(*static_cast<const int32_t *>(seen.remap), -1);
}

TEST(Maps, SortedPairsOfAnyNumber) {
  MapImage image(TREC_MAP_SORTED, -1, TREC_INT64);
  const std::vector<int64_t> pairs = {INT64_MIN, 3, -1, 0, 7, 1, INT64_MAX, 2, INT64_MAX, 9};
  const trec_bag_args args = argumentsFor(image, pairs.data(), 5, 16);
  EXPECT_EQ(args.remap, pairs.data());
  EXPECT_EQ(args.num_remap, 10);
}

TEST(Maps, NoSlotIsEmpty) {
  Error error;
  EXPECT_EQ(createHashTable(slotsOf({0, 1, 2, 3, 4, 5, 6}), error), TREC_OK);
  EXPECT_EQ(createHashTable(slotsOf({0, 1, 2, 3, 4, 5, 6, 7}), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "has no empty slot among its 8: a search for an id that it lacks would not end");
}

TEST(Maps, IdsOfSlots) {
  Error error;
  for (int32_t id : {NUM_IDS + 0, -2}) {
    std::vector<int32_t> slots(2 * NUM_SLOTS, -1);
    slots[6] = id;
    EXPECT_EQ(createHashTable(slots, error), TREC_WEIGHTS_MISMATCH);
    EXPECT_EQ(error.text(), origin + "has id " + std::to_string(id) + " in slot 3, expected -1 or one of 100 ids");
    EXPECT_EQ(error.value, id);
    EXPECT_EQ(error.limit, NUM_IDS);
  }
}

TEST(Maps, SlotsThatNoSearchReaches) {
  Error error;
  const uint32_t home = hashOf(5) % NUM_SLOTS, other = (home + 2) % NUM_SLOTS;
  std::vector<int32_t> slots(2 * NUM_SLOTS, -1);
  slots[2 * other] = 5;
  slots[2 * other + 1] = 0;
  EXPECT_EQ(createHashTable(slots, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "has id 5 in slot " + std::to_string(other) + ", but its search ends at slot " +
                              std::to_string(home) + ": the table was filled by another hash, or has the id twice");
  slots = slotsOf({5});
  slots[2 * ((home + 1) % NUM_SLOTS)] = 5;
  EXPECT_EQ(createHashTable(slots, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), testing::HasSubstr("or has the id twice"));
}

TEST(Maps, RowsOfPairs) {
  Error error;
  std::vector<int32_t> slots = slotsOf({5});
  slots[2 * (hashOf(5) % NUM_SLOTS) + 1] = T1_ROWS;
  EXPECT_EQ(createHashTable(slots, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "maps id 5 to row 10, but table \"t1\" has 10 rows");
  EXPECT_EQ(error.table, 0);
  EXPECT_EQ(createSorted({-9, -1, -1, -2}, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "maps id -1 to row -2, but table \"t1\" has 10 rows");
  std::vector<int64_t> tooMany;
  for (int64_t id = 0; id <= T1_ROWS; ++id)
    tooMany.insert(tooMany.end(), {id, 0});
  EXPECT_EQ(createSorted(tooMany, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "maps other ids to row 10, but table \"t1\" has 10 rows");
  // What an empty slot has beside it is no row.
  slots = slotsOf({5});
  slots[2 * ((hashOf(5) + 1) % NUM_SLOTS) + 1] = 77;
  EXPECT_EQ(createHashTable(slots, error), TREC_OK);
}

TEST(Maps, OrderOfPairs) {
  Error error;
  EXPECT_EQ(createSorted({1, 0, 1, 1, 5, 0}, error), TREC_OK);
  EXPECT_EQ(error.table, -1);
  EXPECT_EQ(createSorted({1, 0, 5, 0, 4, 0}, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "has id 4 in entry 2 after id 5, expected ids in rising order");
  EXPECT_EQ(error.value, 4);
}

TEST(Maps, SizesOfEntries) {
  Error error;
  const int64_t pairs[] = {1, 0, 2, 0};
  const MapImage image(TREC_MAP_SORTED, 2, TREC_INT64);
  EXPECT_EQ(create(image, pairs, 2, 16, error), TREC_OK);
  EXPECT_EQ(create(image, pairs, 2, 8, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "has entries of 8 bytes, expected 16");
  EXPECT_EQ(create(image, pairs, 1, 16, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), origin + "has 1 entries, expected 2");
  const MapImage open(TREC_MAP_SORTED, -1, TREC_INT64);
  for (int64_t count : {INT64_C(-1), INT64_MAX / 8 + 1}) {
    EXPECT_EQ(create(open, pairs, count, 16, error), TREC_WEIGHTS_MISMATCH);
    EXPECT_EQ(error.text(),
              origin + "has " + std::to_string(count) + " entries, expected a number of them that fits into memory");
  }
}

TEST(Maps, ArraysOfUnknownLength) {
  MapImage image(TREC_MAP_ARRAY, -1, TREC_INT32);
  for (int64_t length : {0, 1, 9}) {
    const trec_bag_args args = argumentsFor(image, rowMap, length, 4);
    EXPECT_EQ(args.num_ids, length);
    EXPECT_EQ(args.num_remap, length);
  }
}

TEST(Maps, TensorsOfPairs) {
  const auto tensor = [](const char *description) {
    const std::string members = parameterMembers();
    return members.substr(0, members.find("\"p2\"")) + "\"p2\":" + description + ",";
  };
  MapImage image(TREC_MAP_SORTED, -1, TREC_INT64);
  Error error;
  const auto tryFile = [&](const char *description) {
    const std::string file = parameterFile(tensor(description));
    trec_create_options options = {};
    options.weights_data = file.data();
    options.weights_bytes = file.size();
    return tryCreate(options, error, image);
  };
  EXPECT_EQ(tryFile(R"({"dtype":"I64","shape":[3,2],"data_offsets":[332,380]})"), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), testing::HasSubstr("parameter \"p2\" maps id 8589934593 to row 25769803775"));
  EXPECT_EQ(tryFile(R"({"dtype":"I32","shape":[6,2],"data_offsets":[332,380]})"), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), testing::HasSubstr("dtype is \"I32\", expected \"I64\""));
  EXPECT_EQ(tryFile(R"({"dtype":"I64","shape":[6],"data_offsets":[332,380]})"), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), testing::HasSubstr("shape is [6], expected [entries, elements of an entry]"));
  EXPECT_EQ(tryFile(R"({"dtype":"I64","shape":[2,3],"data_offsets":[332,380]})"), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), testing::HasSubstr("parameter \"p2\" has entries of 24 bytes, expected 16"));
  EXPECT_EQ(tryFile(R"({"dtype":"I64","shape":[3,2305843009213693952],"data_offsets":[332,380]})"),
            TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), testing::HasSubstr("expected [entries, elements of an entry]"));
}
