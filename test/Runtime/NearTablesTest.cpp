// Which tables lie near, and that kernels are told.
#include "Support.h"

extern "C" {
#include "NearTables.h"
}

using namespace trectest;

namespace {

int64_t told;
void noteFar(const trec_bag_args *args, int64_t, int64_t) { told = args->fetches_far; }

constexpr int64_t ROW_BYTES = T1_DIM * 4, MIB = 1 << 20;
constexpr trec_cpu intel = {TREC_CPU_INTEL, 2 * MIB, 0}, amd = {TREC_CPU_AMD, 2 * MIB, 0},
                   other = {TREC_CPU_OTHER, 2 * MIB, 0};

/// What the kernel of a feature through a table of so many rows, of so many floats, is told.
int64_t toldOf(int64_t rows, int64_t dim = T1_DIM) {
  const OneTable one(noteFar, rows, dim);
  Model model(one.options(), one.image());
  const Batch batch(randomIds(3, 2, 3));
  Error error;
  told = -1;
  trec_forward_args args = batch.args();
  std::vector<float> output(static_cast<size_t>(args.batch_size * dim));
  args.output = output.data();
  args.output_bytes = output.size() * sizeof(float);
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  return told;
}

} // namespace

TEST(NearTables, OnIntelTheyAreLargeWhereAllOfAModelAreFew) {
  EXPECT_EQ(trec_near_table_bytes(&intel, 48 * MIB), 8 * MIB);
  EXPECT_EQ(trec_near_table_bytes(&intel, 48 * MIB + 1), MIB / 2);
}

TEST(NearTables, ElsewhereTheyAreSmall) {
  EXPECT_EQ(trec_near_table_bytes(&amd, 1), MIB / 2);
  EXPECT_EQ(trec_near_table_bytes(&other, 1), MIB / 2);
}

TEST(NearTables, ShortBagsAreFetchedFirstOnAMD) {
  EXPECT_EQ(trec_short_bag(&amd), 8);
  EXPECT_EQ(trec_short_bag(&intel), 0);
  EXPECT_EQ(trec_short_bag(&other), 0);
}

TEST(NearTables, LargerOnesAreFar) {
  for (const trec_cpu *cpu : {&intel, &amd, &other}) {
    EXPECT_EQ(trec_fetches_far(cpu, 10, 100, 1000), 0);
    EXPECT_EQ(trec_fetches_far(cpu, 10, 100, 999), 1);
    EXPECT_EQ(trec_fetches_far(cpu, INT64_MAX / 2, 100, 1000), 1) << "more bytes than a number has";
  }
}

TEST(NearTables, LongRowsAreFetchedInGroups) {
  for (const trec_cpu *cpu : {&intel, &amd, &other}) {
    EXPECT_EQ(trec_fetches_far(cpu, 1000, 256, 1000), 1);
    EXPECT_EQ(trec_fetches_far(cpu, 1000, 257, 1000), 16);
  }
}

TEST(NearTables, OnAMDRowsOfThreeLinesAreFetchedInLargeGroupsFromLargeTables) {
  EXPECT_EQ(trec_fetches_far(&amd, 8 * MIB / 256, 256, 1000), 1);
  for (int64_t bytes : {129, 257}) {
    EXPECT_EQ(trec_fetches_far(&amd, 8 * MIB / bytes + 1, bytes, 1000), 64) << bytes;
    EXPECT_EQ(trec_fetches_far(&intel, 8 * MIB / bytes + 1, bytes, 1000), bytes == 129 ? 1 : 16) << bytes;
  }
  EXPECT_EQ(trec_fetches_far(&amd, 8 * MIB, 128, 1000), 1) << "two lines";
}

TEST(NearTables, LongRowsGoByTheSecondLevelBesideOutputs) {
  EXPECT_EQ(trec_fetches_far_beside_outputs(0, 128), 0);
  EXPECT_EQ(trec_fetches_far_beside_outputs(0, 129), 1);
  EXPECT_EQ(trec_fetches_far_beside_outputs(64, 144), 64);
}

TEST(NearTables, KernelsAreTold) {
  const trec_cpu cpu = trec_find_cpu();
  const int64_t near_rows = trec_near_table_bytes(&cpu, 0) / ROW_BYTES;
  EXPECT_EQ(toldOf(near_rows), 0);
  EXPECT_EQ(toldOf(near_rows + 1), 1);
  const int64_t long_row = 65, long_bytes = long_row * 4;
  EXPECT_EQ(toldOf(trec_near_table_bytes(&cpu, 0) / long_bytes + 1, long_row), 16);
}
