// Where the tables of a model on a GPU lie: as the caller says for each, or by a budget.
#include "GPUSupport.h"

using namespace trectest;

namespace {

/// t1 has 10 rows of 16 bytes and t2 20 rows of 8, which lie 16 bytes apart: 320 bytes, the larger one.
class GPUPlace : public GPU {
protected:
  trec_create_options options() {
    trec_create_options options = onGPU();
    options.weights_data = file.data();
    options.weights_bytes = file.size();
    return options;
  }
  static trec_create_options with(trec_create_options options, std::initializer_list<int32_t> places) {
    static std::vector<int32_t> kept;
    kept = places;
    options.placements = kept.data();
    options.num_placements = static_cast<int64_t>(kept.size());
    return options;
  }
  void expectError(int32_t status, const std::string &message, const trec_create_options &options) {
    EXPECT_EQ(tryCreate(options, error, image), status);
    EXPECT_THAT(error.text(), HasSubstr(message));
  }
  static std::vector<int32_t> placesOf(const Model &model) {
    std::vector<int32_t> places;
    for (int64_t i = 0; i < 2; ++i) {
      trec_table_info info = {};
      info.size = sizeof info;
      EXPECT_EQ(trec_runtime_table_info(model, i, &info), TREC_OK);
      EXPECT_EQ(info.bytes, i ? 320u : 160u);
      places.push_back(info.place);
    }
    return places;
  }
  /// The model gives the right sums, wherever its tables are.
  void expectPlaces(const trec_create_options &options, std::vector<int32_t> places) {
    const Ids ids = randomIds(3, 5, 4);
    Batch batch(ids);
    Model model(options, image);
    EXPECT_EQ(placesOf(model), places);
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(batch.output, expected(ids));
    const int onHost = static_cast<int>(std::count(places.begin(), places.end(), TREC_PLACE_HOST));
    EXPECT_EQ(cuda.host_allocations, 1 + onHost); // reports, and each table that is there
  }
  /// What the device holds with all tables on it, and without any.
  size_t countBytes(std::initializer_list<int32_t> places) {
    Model model(with(options(), places), image);
    return cuda.allocated;
  }

  std::string file = goodFile();
  GPUImage image;
};

constexpr int32_t AUTO = TREC_PLACE_AUTO, DEVICE = TREC_PLACE_DEVICE, HOST = TREC_PLACE_HOST;

} // namespace

TEST_F(GPUPlace, OnTheDeviceByDefault) { expectPlaces(options(), {DEVICE, DEVICE}); }

TEST_F(GPUPlace, ByTable) {
  expectPlaces(with(options(), {HOST, DEVICE}), {HOST, DEVICE});
  expectPlaces(with(options(), {AUTO, HOST}), {DEVICE, HOST});
  expectPlaces(with(options(), {HOST, HOST}), {HOST, HOST});
}

// The largest goes first; what is said of a table holds.
TEST_F(GPUPlace, ByBudget) {
  const size_t all = countBytes({DEVICE, DEVICE}), none = countBytes({HOST, HOST});
  EXPECT_EQ(all - none, 256u + 512u); // at multiples of 256 bytes
  trec_create_options limited = options();
  for (const auto &[bytes, places] : std::vector<std::pair<size_t, std::vector<int32_t>>>{{all, {DEVICE, DEVICE}},
                                                                                          {all - 1, {DEVICE, HOST}},
                                                                                          {none + 256, {DEVICE, HOST}},
                                                                                          {none + 255, {HOST, HOST}},
                                                                                          {none, {HOST, HOST}}}) {
    limited.device_bytes = bytes;
    expectPlaces(limited, places);
  }
  limited.device_bytes = none + 512;
  expectPlaces(with(limited, {AUTO, DEVICE}), {HOST, DEVICE});
  expectPlaces(with(limited, {HOST, AUTO}), {HOST, DEVICE});
  limited.device_bytes = none + 511;
  expectError(TREC_INVALID_ARGUMENT,
              "device_bytes is " + std::to_string(none + 511) + ", expected at least " + std::to_string(none + 512) +
                  " for what has to be on GPU 0: lookups, parameters and tables that are not to go to the host",
              with(limited, {AUTO, DEVICE}));
}

TEST_F(GPUPlace, OfEquallyLargeTablesTheLastGoesFirst) {
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  tables[0].rows = tables[1].rows = -1;
  image.image.tables = tables;
  alignas(16) static const float first[4][4] = {}, second[4][2] = {};
  const trec_table_data given[] = {{first, 4, 16}, {second, 4, 8}};
  trec_create_options limited = onGPU();
  limited.tables = given;
  limited.num_tables = 2;
  limited.device_bytes = countBytes({HOST, HOST}) + 256;
  Model model(limited, image);
  for (int64_t i = 0; i < 2; ++i) {
    trec_table_info info = {};
    info.size = sizeof info;
    ASSERT_EQ(trec_runtime_table_info(model, i, &info), TREC_OK);
    EXPECT_EQ(info.place, i ? HOST : DEVICE);
    EXPECT_EQ(info.bytes, 64u);
  }
}

TEST_F(GPUPlace, OptionsThatMakeNoSense) {
  expectError(TREC_INVALID_ARGUMENT, "table \"t2\": its placement is 3, expected 0 to 2", with(options(), {HOST, 3}));
  EXPECT_EQ(error.table, 1);
  expectError(TREC_INVALID_ARGUMENT, "num_placements is 1, expected 2", with(options(), {HOST}));
  trec_create_options wrong = options();
  wrong.num_placements = 2;
  expectError(TREC_INVALID_ARGUMENT, "num_placements is 2, expected 0", wrong);
  wrong = options();
  wrong.l2_fetch_bytes = 48;
  expectError(TREC_INVALID_ARGUMENT, "l2_fetch_bytes is 48, expected 32, 64 or 128, or 0", wrong);
  for (int which = 0; which < 4; ++which) {
    wrong = which == 0 ? with(options(), {HOST, HOST}) : options();
    wrong.device_bytes = which == 1;
    wrong.l2_fetch_bytes = which == 2 ? 32 : 0;
    wrong.l2_persist_bytes = which == 3;
    wrong.device = TREC_DEVICE_CPU;
    expectError(TREC_INVALID_ARGUMENT,
                "placements, device_bytes, l2_fetch_bytes and l2_persist_bytes are for models on a GPU", wrong);
  }
}

// A table that lies on the device stays where it is.
TEST_F(GPUPlace, TablesOnTheDeviceAreTheCallers) {
  alignas(16) float first[T1_ROWS][4] = {}, second[T2_ROWS][4] = {};
  const trec_table_data given[] = {{first, T1_ROWS, 16}, {second, T2_ROWS, 16}};
  trec_create_options callers = onGPU();
  callers.tables = given;
  callers.num_tables = 2;
  callers.tables_location = TREC_DEVICE_CUDA;
  callers.device_bytes = 4096;
  {
    Model model(with(callers, {AUTO, AUTO}), image);
    EXPECT_EQ(placesOf(model), (std::vector<int32_t>{TREC_PLACE_CALLERS, TREC_PLACE_CALLERS}));
  }
  expectError(TREC_INVALID_ARGUMENT, "caller's tables: \"t2\" is on the device, its placement is 2, expected 0",
              with(callers, {AUTO, HOST}));
  EXPECT_EQ(error.table, 1);
}

TEST_F(GPUPlace, OutOfMemoryNamesTheTable) {
  cuda.memory = 600;
  expectError(
      TREC_OUT_OF_MEMORY,
      "600 of its 600 bytes are free; the largest is \"t2\" with 320: place it on the host, or say device_bytes",
      options());
  EXPECT_EQ(error.table, 1);
  cuda.memory = 1 << 20;
  cuda.host_memory = 319;
  expectError(TREC_OUT_OF_MEMORY,
              "GPU: cannot pin 320 bytes of host memory for table \"t2\": out of memory (CUDA error 2)",
              with(options(), {AUTO, HOST}));
  EXPECT_EQ(error.table, 1);
}

// Told of all tables, wherever they go.
TEST_F(GPUPlace, Progress) {
  std::vector<std::pair<uint64_t, uint64_t>> told;
  trec_create_options asked = with(options(), {DEVICE, HOST});
  asked.progress = [](void *user, uint64_t done, uint64_t total) {
    static_cast<std::vector<std::pair<uint64_t, uint64_t>> *>(user)->emplace_back(done, total);
  };
  asked.progress_user = &told;
  Model model(asked, image);
  EXPECT_THAT(told, testing::ElementsAre(testing::Pair(0, 480), testing::Pair(160, 480), testing::Pair(480, 480)));
}

TEST_F(GPUPlace, InfoOfACPU) {
  Model model({}, image);
  trec_table_info info = {};
  info.size = sizeof info;
  ASSERT_EQ(trec_runtime_table_info(model, 1, &info), TREC_OK);
  EXPECT_EQ(info.place, HOST);
  EXPECT_EQ(info.bytes, 160u);
  EXPECT_EQ(trec_runtime_table_info(model, 2, &info), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_table_info(model, -1, &info), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_table_info(model, 0, nullptr), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_table_info(nullptr, 0, &info), TREC_INVALID_ARGUMENT);
  info.size = 0;
  EXPECT_EQ(trec_runtime_table_info(model, 0, &info), TREC_INVALID_ARGUMENT);
}
