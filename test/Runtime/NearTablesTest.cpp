// Which tables lie near, and that kernels are told.
#include "Support.h"

extern "C" {
#include "NearTables.h"
}

using namespace trectest;

namespace {

int64_t told;
void noteFar(const trec_bag_args *args, int64_t, int64_t) { told = args->fetches_far; }
const trec_kernel noting[] = {noteFar, noteFar, noteFar, noteFar};

constexpr int64_t ROW_BYTES = T1_DIM * 4;

/// What the kernel of a feature through a table of so many rows is told.
int64_t toldOf(int64_t rows) {
  const std::vector<char> bytes(static_cast<size_t>(rows * ROW_BYTES));
  const trec_table_desc table = {trec_image.tables[0].name, -1, ROW_BYTES, T1_DIM, TREC_WEIGHTS_FP32};
  const trec_table_data data = {bytes.data(), rows, ROW_BYTES};
  const trec_bag_desc bag = {};
  struct trec_level_desc level = trec_image.levels[0];
  level.kernels = noting;
  struct trec_image image = trec_image;
  image.tables = &table;
  image.num_tables = 1;
  image.bags = &bag;
  image.num_bags = 1;
  image.levels = &level;
  image.total_dim = T1_DIM;
  trec_create_options options = {};
  options.size = sizeof options;
  options.tables = &data;
  options.num_tables = 1;
  Model model(options, image);
  const Batch batch(randomIds(3, 2, 3));
  Error error;
  told = -1;
  const trec_forward_args args = batch.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  return told;
}

} // namespace

TEST(NearTables, TheirBytesAreThoseOfACache) {
  EXPECT_GE(trec_near_table_bytes(), 64 << 10);
  EXPECT_LE(trec_near_table_bytes(), 256 << 20);
}

TEST(NearTables, LargerOnesAreFar) {
  EXPECT_EQ(trec_fetches_far(10, 100, 1000), 0);
  EXPECT_EQ(trec_fetches_far(10, 100, 999), 1);
  EXPECT_EQ(trec_fetches_far(INT64_MAX / 2, 100, 1000), 1);
}

TEST(NearTables, KernelsAreTold) {
  const int64_t near_rows = trec_near_table_bytes() / ROW_BYTES;
  EXPECT_EQ(toldOf(near_rows), 0);
  EXPECT_EQ(toldOf(near_rows + 1), 1);
}
