//===- BenchBatchTest.cpp - What trec-run --bench looks up ----------------===//

#include "trec/Bench/BenchBatch.h"
#include "ReferenceSupport.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;
using namespace mlir::trec;

/// The shares of the rows, the largest first.
static std::vector<double> countShares(const IdDistribution &distribution,
                                       int64_t rows) {
  constexpr int numDraws = 100000;
  IdSampler sampler(distribution, rows);
  RandomEngine random(1);
  std::vector<double> shares(rows);
  for (int i = 0; i < numDraws; ++i) {
    int64_t row = sampler.draw(random);
    EXPECT_GE(row, 0);
    EXPECT_LT(row, rows);
    shares[row] += 1.0 / numDraws;
  }
  llvm::sort(shares, std::greater<>());
  return shares;
}

TEST(BenchBatchTest, UniformRowsAreAlike) {
  std::vector<double> shares = countShares({}, 10);
  EXPECT_NEAR(shares.front(), 0.1, 0.01);
  EXPECT_NEAR(shares.back(), 0.1, 0.01);
}

TEST(BenchBatchTest, RanksHaveTheirWeights) {
  IdDistribution distribution;
  distribution.exponent = 1.5;
  distribution.q = 0.5;
  double sum = 0;
  for (int rank = 1; rank <= 50; ++rank)
    sum += std::pow(rank + 0.5, -1.5);
  std::vector<double> shares = countShares(distribution, 50);
  EXPECT_NEAR(shares[0], std::pow(1.5, -1.5) / sum, 0.01);
  EXPECT_NEAR(shares[1], std::pow(2.5, -1.5) / sum, 0.01);
}

TEST(BenchBatchTest, HittersHaveTheirProbabilities) {
  IdDistribution distribution;
  distribution.exponent = 1.1;
  distribution.hitters = {0.4, 0.3};
  std::vector<double> shares = countShares(distribution, 1000);
  EXPECT_NEAR(shares[0], 0.4, 0.01);
  EXPECT_NEAR(shares[1], 0.3, 0.01);
  EXPECT_LT(shares[2], 0.15);
  // Where there are no others, and where they have no share.
  EXPECT_NEAR(countShares(distribution, 1)[0], 1.0, 1e-9);
  distribution.hitters = {1.0};
  EXPECT_NEAR(countShares(distribution, 100)[0], 1.0, 1e-9);
}

/// A batch of one table and one key, "a".
static Batch makeBatch(const OneLookup &lookup, const BenchLoad &load) {
  Runner runner(makeModule(lookup));
  RandomTables tables(runner.getModule(), 1);
  BatchMaker maker(runner.getModule(), tables.getTables(), load, 1);
  Batch batch = maker.make().front();
  EXPECT_EQ(maker.countRowBytes(batch), int64_t(batch.values.size()) * 7);
  return batch;
}

TEST(BenchBatchTest, BatchesHaveTheLengthsOfTheLoad) {
  BenchLoad load;
  load.batchSize = 5;
  load.lengths = makeFixedLengths({3});
  Batch batch = makeBatch({"50x3, int8", "3, int8"}, load);
  EXPECT_EQ(batch.lengths, std::vector<int64_t>(5, 3));
  EXPECT_EQ(batch.values.size(), 15u);
  EXPECT_TRUE(batch.weights.empty());
  EXPECT_TRUE(llvm::all_of(batch.values,
                           [](int64_t id) { return id >= 0 && id < 50; }));
}

TEST(BenchBatchTest, WeightedBatchesHaveAWeightForEachId) {
  BenchLoad load;
  load.batchSize = 5;
  load.lengths = makeFixedLengths({3});
  Batch batch = makeBatch(
      {"50x3, int8", "3, int8", "3", "sum", "warning", /*weighted=*/true},
      load);
  EXPECT_EQ(batch.weights.size(), 15u);
}

TEST(BenchBatchTest, TablesWithoutRowsAreGivenSkippedIds) {
  BenchLoad load;
  load.lengths = makeFixedLengths({4});
  Batch batch = makeBatch({"0x3, int8", "3, int8"}, load);
  EXPECT_EQ(batch.values, std::vector<int64_t>(4, -1));
}

TEST(BenchBatchTest, BagsStayWithinPositionWeights) {
  Runner runner(R"(
    trec.table @t : !trec.table<5x2, fp8, #trec.row_layout<header = none>>
    trec.parameter @p : tensor<7xf32>
    !kjt = !trec.kjt<["a", "b"]>
    !keyed = !trec.keyed_tensor<["x", "y"], [2, 2], f32>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %a = trec.feature %kjt "a" : !kjt
      %x = trec.embedding_bag sum @t[%a] position_weights @p bounds warning : tensor<?x2xf32>
      %b = trec.feature %kjt "b" : !kjt
      %y = trec.embedding_bag sum @t[%b] bounds warning : tensor<?x2xf32>
      %out = trec.keyed_tensor %x, %y : (tensor<?x2xf32>, tensor<?x2xf32>) -> !keyed
      return %out : !keyed
    })");
  RandomTables tables(runner.getModule(), 1);
  BenchLoad load;
  load.lengths = makeFixedLengths({9, 11});
  BatchMaker maker(runner.getModule(), tables.getTables(), load, 1);
  EXPECT_EQ(maker.make().front().lengths, std::vector<int64_t>({7, 11}));
}
