// Which tables lie near, and that kernels are told.
#include "Support.h"

extern "C" {
#include "NearTables.h"
}

using namespace trectest;

namespace {

int64_t told;
void noteFar(const trec_bag_args *args, int64_t, int64_t) { told = args->fetches_far; }

constexpr int64_t ROW_BYTES = T1_DIM * 4;

/// What the kernel of a feature through a table of so many rows is told.
int64_t toldOf(int64_t rows) {
  const OneTable one(noteFar, rows, T1_DIM);
  Model model(one.options(), one.image());
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

TEST(NearTables, ShortBagsHaveFewIds) {
  EXPECT_GE(trec_short_bag(), 0);
  EXPECT_LE(trec_short_bag(), 64);
}

TEST(NearTables, LargerOnesAreFar) {
  EXPECT_EQ(trec_fetches_far(10, 100, 1000), 0);
  EXPECT_EQ(trec_fetches_far(10, 100, 999), 1);
  EXPECT_EQ(trec_fetches_far(INT64_MAX / 2, 100, 1000), 1) << "more bytes than a number has";
}

TEST(NearTables, RowsOfOneLineOrTwoAreFetchedOneByOne) {
  for (int64_t bytes : {16, 64, 80, 128})
    EXPECT_EQ(trec_fetches_far(int64_t(1) << 30, bytes, 1000), 1) << bytes;
}

TEST(NearTables, LongRowsAreFetchedInGroups) {
  EXPECT_EQ(trec_fetches_far(1000, 256, 1000), 1);
  EXPECT_EQ(trec_fetches_far(1000, 272, 1000), 16);
}

TEST(NearTables, GroupsOfLargeTablesArePowersOfTwo) {
  for (int64_t bytes : {144, 256, 272, 1024}) {
    const int64_t rows = trec_fetches_far(int64_t(1) << 30, bytes, 1000);
    EXPECT_TRUE(rows >= 1 && rows <= 64 && (rows & (rows - 1)) == 0) << rows << " of " << bytes << " bytes";
  }
}

TEST(NearTables, KernelsAreTold) {
  const int64_t near_rows = trec_near_table_bytes() / ROW_BYTES;
  EXPECT_EQ(toldOf(near_rows), 0);
  EXPECT_EQ(toldOf(near_rows + 1), 1);
}
