// Which tables lie near, and that kernels are told.
#include "Support.h"

extern "C" {
#include "Create.h"
#include "NearTables.h"
}

using namespace trectest;

namespace {

int64_t told;
void noteFar(const trec_bag_args *args, int64_t, int64_t) { told = args->fetches_far; }

constexpr int64_t ROW_BYTES = T1_DIM * 4, MIB = 1 << 20;
constexpr trec_cpu intel = {TREC_CPU_INTEL, 2 * MIB, 0}, amd = {TREC_CPU_AMD, 2 * MIB, 0},
                   other = {TREC_CPU_OTHER, 2 * MIB, 0};

/// What the kernel of a model's one feature, of so many columns, is told.
int64_t toldBy(trec_model *model, int64_t dim) {
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

/// Through a table of so many rows, of so many floats.
int64_t toldOf(int64_t rows, int64_t dim = T1_DIM) {
  const OneTable one(noteFar, rows, dim);
  Model model(one.options(), one.image());
  return toldBy(model, dim);
}

/// Through one of so many tables of as many rows, on some machine.
int64_t toldOfMany(size_t tables, int64_t rows, const trec_cpu &cpu) {
  const OneTable one(noteFar, rows, T1_DIM);
  const std::vector<trec_table_desc> descs(tables, one.image().tables[0]);
  const std::vector<trec_table_data> data(tables, *one.options().tables);
  struct trec_image image = one.image();
  trec_create_options options = one.options();
  image.tables = descs.data();
  image.num_tables = options.num_tables = static_cast<int64_t>(tables);
  options.tables = data.data();
  Model model(options, image);
  trec_prepare_fetches(model, &cpu);
  return toldBy(model, T1_DIM);
}

/// Of a table of floats, in a model where half a MiB is near.
int64_t fetchesFar(const trec_cpu &cpu, int64_t rows, int64_t rowBytes, int64_t weightsType = TREC_WEIGHTS_FP16,
                   int64_t modelBytes = 90 * MIB) {
  const trec_table_desc table = {0, -1, rowBytes, 1, weightsType};
  return trec_fetches_far(&cpu, &table, rows, modelBytes);
}

/// Of a table of an AMD CPU, from far.
int64_t shortBagOfMany(int64_t rows, int64_t rowBytes, int64_t weightsType, const trec_cpu &cpu = amd,
                       int64_t fetchesFar = 1) {
  const trec_table_desc table = {0, -1, rowBytes, 1, weightsType};
  return trec_short_bag_of_many(&cpu, &table, rows, fetchesFar);
}

} // namespace

TEST(NearTables, OnIntelTheyAreLargeWhereAllOfAModelAreFew) {
  EXPECT_EQ(trec_near_table_bytes(&intel, 48 * MIB), 8 * MIB);
  EXPECT_EQ(trec_near_table_bytes(&intel, 48 * MIB + 1), MIB / 2);
}

// Four second levels each: of six there are 24, of seven more.
TEST(NearTables, AllTablesOfAModelCount) {
  const trec_cpu cpu = {TREC_CPU_INTEL, 16 * ROW_BYTES, 0};
  EXPECT_EQ(toldOfMany(6, 64, cpu), 0);
  EXPECT_EQ(toldOfMany(7, 64, cpu), 1);
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

TEST(NearTables, ShortBagsOfManyIds) {
  constexpr int64_t most = 32 * MIB / 80;
  for (int64_t codes : {TREC_WEIGHTS_INT8, TREC_WEIGHTS_INT4, TREC_WEIGHTS_INT2}) {
    EXPECT_EQ(shortBagOfMany(most, 80, codes), 3);
    EXPECT_EQ(shortBagOfMany(most + 1, 80, codes), 8);
    EXPECT_EQ(shortBagOfMany(INT64_MAX, 80, codes), 8);
  }
  EXPECT_EQ(shortBagOfMany(most + 1, 80, TREC_WEIGHTS_FP16), 3);
  EXPECT_EQ(shortBagOfMany(most, 64, TREC_WEIGHTS_INT8), 0);
  EXPECT_EQ(shortBagOfMany(1000, 192, TREC_WEIGHTS_FP16), 3);
  EXPECT_EQ(shortBagOfMany(1000, 256, TREC_WEIGHTS_FP16), 8);
  EXPECT_EQ(shortBagOfMany(most, 80, TREC_WEIGHTS_INT8, amd, 0), 0);
  EXPECT_EQ(shortBagOfMany(most, 80, TREC_WEIGHTS_INT8, intel), 0);
}

TEST(NearTables, LargerOnesAreFar) {
  for (const trec_cpu &cpu : {intel, amd, other}) {
    EXPECT_EQ(fetchesFar(cpu, MIB / 2 / 64, 64), 0);
    EXPECT_EQ(fetchesFar(cpu, MIB / 2 / 64 + 1, 64), 1);
    EXPECT_EQ(fetchesFar(cpu, INT64_MAX / 2, 100), 1) << "more bytes than a number has";
  }
}

TEST(NearTables, LongRowsAreFetchedInGroups) {
  for (const trec_cpu &cpu : {intel, amd, other}) {
    const int64_t most = cpu.maker == TREC_CPU_AMD ? 320 : 256;
    EXPECT_EQ(fetchesFar(cpu, 10000, most), 1);
    EXPECT_EQ(fetchesFar(cpu, 10000, most + 1), 16);
  }
}

TEST(NearTables, OnAMDRowsOfThreeLinesAreFetchedInLargeGroupsFromLargeTables) {
  EXPECT_EQ(fetchesFar(amd, 8 * MIB / 256, 256), 1);
  for (int64_t bytes : {129, 257}) {
    EXPECT_EQ(fetchesFar(amd, 8 * MIB / bytes + 1, bytes), 64) << bytes;
    EXPECT_EQ(fetchesFar(intel, 8 * MIB / bytes + 1, bytes), bytes == 129 ? 1 : 16) << bytes;
  }
  EXPECT_EQ(fetchesFar(amd, 8 * MIB, 128), 1) << "two lines";
}

TEST(NearTables, OnAMDCodesAreFetchedOneByOneFromLargerTables) {
  for (int64_t codes : {TREC_WEIGHTS_INT8, TREC_WEIGHTS_INT4, TREC_WEIGHTS_INT2}) {
    EXPECT_EQ(fetchesFar(amd, 12 * MIB / 256, 256, codes), 1);
    EXPECT_EQ(fetchesFar(amd, 12 * MIB / 256 + 1, 256, codes), 64);
    EXPECT_EQ(fetchesFar(amd, 8 * MIB / 512, 512, codes), 16);
    EXPECT_EQ(fetchesFar(amd, 8 * MIB / 512 + 1, 512, codes), 64);
    EXPECT_EQ(fetchesFar(amd, 12 * MIB / 256, 256, codes, 96 * MIB), 1);
    EXPECT_EQ(fetchesFar(amd, 12 * MIB / 256, 256, codes, 96 * MIB + 1), 64);
  }
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
  const int64_t long_row = 81, long_bytes = long_row * 4;
  EXPECT_EQ(toldOf(trec_near_table_bytes(&cpu, 0) / long_bytes + 1, long_row), 16);
}
