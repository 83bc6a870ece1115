// Batches of tables that are larger than the caches, whose rows are fetched before their kernels are called. That it is
// done shows in times alone; here, that it may be done with any ids, in any piece of a job.
#include "Support.h"

extern "C" {
#include "Create.h"
}

#include <random>

using namespace trectest;

namespace {

constexpr int64_t manyRows = 1 << 16;

/// One on which the rows of short bags are fetched first, and one on which they are not.
constexpr trec_cpu amd = {TREC_CPU_AMD, 1 << 20, 0}, intel = {TREC_CPU_INTEL, 1 << 20, 0};

/// The test image with a first table of `manyRows` rows.
struct LargeModel {
  LargeModel() {
    rows.resize(manyRows * T1_DIM);
    for (int64_t i = 0; i < manyRows * T1_DIM; ++i)
      rows[i] = float(i / T1_DIM) + float(i % T1_DIM) / 8;
    tables[0].rows = -1;
    image.tables = tables;
  }
  trec_create_options options(int32_t threads) {
    trec_create_options options = {};
    options.tables = data;
    options.num_tables = 2;
    options.bounds_check = TREC_BOUNDS_IGNORE;
    options.threads = threads;
    return options;
  }

  std::vector<float> rows;
  std::string good = goodData();
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  struct trec_image image = ::trec_image;
  trec_table_data data[2] = {{rows.data(), manyRows, T1_DIM * 4}, {good.data() + 160, T2_ROWS, T2_DIM * 4}};
};

void expectSameOn(const trec_cpu &cpu, LargeModel &large, const Ids &ids, int32_t threads) {
  large.data[0].data = large.rows.data();
  Model model(large.options(threads), large.image);
  trec_prepare_fetches(model, &cpu);
  for (int32_t type : {TREC_INT32, TREC_INT64}) {
    Batch batch(ids);
    trec_forward_args args = batch.args();
    args.values_type = type;
    args.values = type == TREC_INT32 ? static_cast<const void *>(batch.values32.data()) : batch.values64.data();
    Error error;
    ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
    EXPECT_EQ(batch.output, expected(ids, {0, 1, 2}, manyRows));
  }
}

void expectSame(LargeModel &large, const Ids &ids, int32_t threads) {
  for (const trec_cpu &cpu : {amd, intel})
    expectSameOn(cpu, large, ids, threads);
}

std::vector<std::pair<int64_t, int64_t>> blocks;
bool someFetchFar, allFetchFar;
void noteBlock(const trec_bag_args *args, int64_t begin, int64_t end) {
  blocks.emplace_back(begin, end);
  someFetchFar |= args->fetches_far != 0;
  allFetchFar &= args->fetches_far != 0;
}

/// Of several lines, and so many that no machine has them near; or of one line.
constexpr int64_t longDim = 20, farRows = 1 << 19, shortDim = 16;

/// For which bags the kernel of a table of codes is called, one call after the other.
std::vector<std::pair<int64_t, int64_t>> blocksOf(const trec_cpu &cpu, int64_t samples, int64_t idsOfSample,
                                                  int64_t dim = longDim, int64_t rows = farRows) {
  const OneTable one(noteBlock, rows, dim);
  trec_table_desc table = one.image().tables[0];
  table.weights_type = TREC_WEIGHTS_INT8;
  struct trec_image image = one.image();
  image.tables = &table;
  Model model(one.options(), image);
  trec_prepare_fetches(model, &cpu);
  const Batch batch(Ids(3, std::vector<std::vector<int64_t>>(samples, std::vector<int64_t>(idsOfSample, 5))));
  Error error;
  blocks.clear();
  someFetchFar = false;
  allFetchFar = true;
  std::vector<float> output(samples * dim);
  trec_forward_args args = batch.args();
  args.output = output.data();
  args.output_bytes = samples * dim * int64_t(sizeof(float));
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  return blocks;
}

} // namespace

using Blocks = std::vector<std::pair<int64_t, int64_t>>;

// All of them, the last too, of about as many ids, at most 512.
TEST(FetchAhead, ShortBagsAreRunInBlocks) {
  EXPECT_EQ(blocksOf(amd, 128, 8), (Blocks{{0, 64}, {64, 128}}));
  EXPECT_EQ(blocksOf(amd, 257, 4), (Blocks{{0, 86}, {86, 172}, {172, 257}}));
  EXPECT_EQ(blocksOf(amd, 512, 1), (Blocks{{0, 512}}));
  EXPECT_EQ(blocksOf(amd, 64, 8), (Blocks{{0, 64}}));
}

TEST(FetchAhead, KernelsOfBlocksDoNotFetchFarToo) {
  blocksOf(amd, 257, 4);
  EXPECT_FALSE(someFetchFar);
  blocksOf(intel, 257, 4);
  EXPECT_TRUE(allFetchFar);
}

// With more ids than a block has their kernels do as well.
TEST(FetchAhead, ManyRowsOfOneLineAreNot) { EXPECT_EQ(blocksOf(amd, 257, 4, shortDim), (Blocks{{0, 257}})); }

// Nor those of tables that the third level may hold, but where bags are shorter.
TEST(FetchAhead, ManyRowsThatAreNotFromFarAreNot) {
  constexpr int64_t rows = farRows / 2;
  EXPECT_EQ(blocksOf(amd, 257, 4, longDim, rows), (Blocks{{0, 257}}));
  EXPECT_EQ(blocksOf(amd, 257, 3, longDim, rows), (Blocks{{0, 129}, {129, 257}}));
  EXPECT_EQ(blocksOf(amd, 64, 8, longDim, rows), (Blocks{{0, 64}}));
}

TEST(FetchAhead, LongBagsAndThoseOfOtherMachinesAreNot) {
  EXPECT_EQ(blocksOf(amd, 128, 9), (Blocks{{0, 128}}));
  EXPECT_EQ(blocksOf(intel, 128, 8), (Blocks{{0, 128}}));
}

TEST(FetchAhead, OneSample) {
  LargeModel large;
  expectSame(large, {{{manyRows - 1, 17}}, {{3}}, {{40000}}}, 1);
}

TEST(FetchAhead, EmptyBagsAndBadIds) {
  LargeModel large;
  const int64_t low = INT32_MIN, high = INT32_MAX;
  expectSame(large, {{{}, {-1, manyRows}}, {{}, {}}, {{high, low, -2, manyRows - 1}, {}}}, 1);
}

// Feature 0 has more ids than are fetched ahead, the others have not.
TEST(FetchAhead, LongAndShortBags) {
  LargeModel large;
  const std::vector<int64_t> many(100, 1000);
  expectSame(large, {{many, {}}, {{5}, {6}}, {{manyRows - 2}, {1, 2, 3}}}, 1);
}

// Bags that are short on the average, so that they are fetched in blocks, but for one that fills several.
TEST(FetchAhead, OneLongBagAmongShortOnes) {
  LargeModel large;
  Ids ids(3, std::vector<std::vector<int64_t>>(900, {7, manyRows - 1}));
  for (size_t sample : {0, 450, 899})
    ids[0][sample].assign(1500, 123);
  for (int32_t threads : {1, 3})
    expectSame(large, ids, threads);
}

TEST(FetchAhead, PiecesOfABatch) {
  LargeModel large;
  std::mt19937_64 random(7);
  Ids ids(3, std::vector<std::vector<int64_t>>(700));
  for (auto &key : ids)
    for (auto &bag : key)
      for (uint64_t left = random() % 4; left > 0; --left)
        bag.push_back(static_cast<int64_t>(random() % manyRows));
  for (int32_t threads : {1, 3, 8})
    expectSame(large, ids, threads);
}
