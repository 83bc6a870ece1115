//===- ReferenceRandomTest.cpp - Seeded inputs
//------------------------------===//

#include "ReferenceSupport.h"

#include "trec/Reference/Numerics.h"
#include "trec/Reference/RandomInputs.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;
using namespace mlir::trec;

TEST(ReferenceRandomTest, FillsRowsOfCodes) {
  Runner runner(makeModule({"50x3, int4", "3, int4"}));
  RandomTables tables(runner.getModule(), 1);
  ASSERT_TRUE(tables.isComplete());
  EXPECT_EQ(tables.getStride(), 1);
  TableData data = tables.getTables().lookup("t");
  ASSERT_EQ(data.bytes.size(), 50u * 6);
  for (int64_t row = 0; row < 50; ++row) {
    auto header = fromBytes<uint16_t>(data.bytes.slice(row * 6, 4));
    EXPECT_GE(halfToFloat(header[0]), 1.0f / 1024);
    EXPECT_LE(halfToFloat(header[0]), 1.0f / 16);
    EXPECT_LE(std::fabs(halfToFloat(header[1])), 1.0f);
    EXPECT_EQ(data.bytes[row * 6 + 5] >> 4, 0);
  }
}

TEST(ReferenceRandomTest, GivesTheSameForTheSameSeed) {
  Runner runner(
      makeModule({"?x3, fp16", "3, fp16", "3", "sum", "warning", true}));
  RandomTables one(runner.getModule(), 1), again(runner.getModule(), 1),
      other(runner.getModule(), 2);
  TableData data = one.getTables().lookup("t");
  EXPECT_GE(data.rows, 100);
  EXPECT_EQ(data.bytes, again.getTables().lookup("t").bytes);
  EXPECT_NE(data.bytes, other.getTables().lookup("t").bytes);

  BatchShape shape;
  shape.batchSize = 10;
  auto make = [&](uint64_t seed) {
    return makeRandomBatches(runner.getModule(), one.getTables(), shape, seed)
        .front();
  };
  EXPECT_EQ(make(1).values, make(1).values);
  EXPECT_EQ(make(1).weights, make(1).weights);
  EXPECT_NE(make(1).values, make(2).values);
  EXPECT_EQ(make(1).weights.size(), make(1).values.size());
  // The engine is fixed by the standard, so this is the same on any machine.
  EXPECT_EQ(data.bytes.take_front(4),
            ArrayRef<uint8_t>({0x70, 0xc2, 0x64, 0x42}));
}

TEST(ReferenceRandomTest, MakesBatchesOfTheShape) {
  Runner runner(makeModule({"50x3, int8", "3, int8"}));
  RandomTables tables(runner.getModule(), 1);
  BatchShape shape;
  shape.batchSize = 2000;
  shape.badPerMille = 20;
  Batch batch =
      makeRandomBatches(runner.getModule(), tables.getTables(), shape, 1)
          .front();
  EXPECT_EQ(batch.lengths.size(), 2000u);
  EXPECT_EQ(*std::max_element(batch.lengths.begin(), batch.lengths.end()), 20);
  double count = double(batch.values.size());
  auto share = [&](auto is) {
    return double(llvm::count_if(batch.values, is)) / count;
  };
  EXPECT_NEAR(share([](int64_t id) { return id == -1; }), 0.05, 0.01);
  EXPECT_NEAR(share([](int64_t id) { return id < -1 || id >= 50; }), 0.02,
              0.005);
  EXPECT_GT(llvm::count(batch.lengths, 0), 300);
  // The interpreter agrees with all of it.
  auto outputs = interpret(runner.getModule(), batch, tables.getTables());
  ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
  EXPECT_NEAR(double(outputs->badIds.size()) / count, 0.02, 0.005);

  shape.minBagLength = shape.maxBagLength = 7;
  shape.skippedPerMille = shape.badPerMille = 0;
  batch = makeRandomBatches(runner.getModule(), tables.getTables(), shape, 1)
              .front();
  EXPECT_EQ(batch.values.size(), 2000u * 7);
  EXPECT_TRUE(llvm::all_of(batch.values,
                           [](int64_t id) { return id >= 0 && id < 50; }));
}

/// A table of 50 rows behind a map of 300 ids, with 7 weights by position.
static const char withParameters[] = R"(
  !row = !trec.row<2, fp8, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<50x2, fp8, #trec.row_layout<header = none>>
  trec.parameter @p : tensor<7xf32>
  trec.parameter @q : tensor<9xf32>
  trec.parameter @m maps <array> : tensor<300xi32>
  !kjt = !trec.kjt<["a", "b"]>
  !keyed = !trec.keyed_tensor<["x", "y", "z"], [2, 2, 2], f32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %a = trec.feature %kjt "a" : !kjt
    %w = trec.position_weights %a from @p
    %checked = trec.check_bounds warning %a in @m
    %mapped = trec.remap %checked by @m
    %rows = trec.lookup @t[%mapped] : <!row>
    %values = trec.dequantize %rows : <!row>
    %weighted = trec.weight %values by %w : <!trec.dequantized<2>>
    %x = trec.pool sum %weighted : <!trec.dequantized<2>>
    %y = trec.embedding_bag sum @t[%a] position_weights @q bounds warning : tensor<?x2xf32>
    %b = trec.feature %kjt "b" : !kjt
    %z = trec.embedding_bag sum @t[%b] bounds warning : tensor<?x2xf32>
    %out = trec.keyed_tensor %x, %y, %z : (tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> !keyed
    return %out : !keyed
  })";

static const char withPairs[] = R"(
  !row = !trec.row<1, fp32, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<50x1, fp32, #trec.row_layout<header = none>>
  trec.parameter @h maps <hash_table> : tensor<?x2xi32>
  trec.parameter @s maps <sorted> : tensor<50x2xi64>
  !kjt = !trec.kjt<["a", "b"]>
  !keyed = !trec.keyed_tensor<["x", "y"], [1, 1], f32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %a = trec.feature %kjt "a" : !kjt
    %checked_a = trec.check_bounds warning %a in @h
    %mapped_a = trec.remap %checked_a by @h
    %rows_a = trec.lookup @t[%mapped_a] : <!row>
    %values_a = trec.dequantize %rows_a : <!row>
    %x = trec.pool sum %values_a : <!trec.dequantized<1>>
    %b = trec.feature %kjt "b" : !kjt
    %checked_b = trec.check_bounds warning %b in @s
    %mapped_b = trec.remap %checked_b by @s
    %rows_b = trec.lookup @t[%mapped_b] : <!row>
    %values_b = trec.dequantize %rows_b : <!row>
    %y = trec.pool sum %values_b : <!trec.dequantized<1>>
    %out = trec.keyed_tensor %x, %y : (tensor<?x1xf32>, tensor<?x1xf32>) -> !keyed
    return %out : !keyed
  })";

TEST(ReferenceRandomTest, FillsMapsOfPairs) {
  Runner runner(withPairs);
  RandomTables tables(runner.getModule(), 1);
  ASSERT_TRUE(tables.isComplete());
  TableData slots = tables.getTables().lookup("h");
  EXPECT_EQ(slots.rows, 101);
  auto elements = fromBytes<int32_t>(slots.bytes);
  ASSERT_EQ(elements.size(), 202u);
  int64_t taken = 0;
  for (size_t i = 0; i < elements.size(); i += 2) {
    taken += elements[i] != -1;
    EXPECT_LT(elements[i + 1], 50);
  }
  EXPECT_EQ(taken, 50);

  TableData pairs = tables.getTables().lookup("s");
  EXPECT_EQ(pairs.rows, 50);
  auto wide = fromBytes<int64_t>(pairs.bytes);
  for (size_t i = 2; i < wide.size(); i += 2)
    EXPECT_GE(wide[i], wide[i - 2]);
  EXPECT_EQ(wide[98], INT64_MAX);

  // Some ids are there and some are not.
  BatchShape shape;
  shape.batchSize = 400;
  Batch batch =
      makeRandomBatches(runner.getModule(), tables.getTables(), shape, 1)
          .front();
  int64_t known = llvm::count_if(batch.values, [&](int64_t id) {
    for (size_t i = 0; i < wide.size(); i += 2)
      if (wide[i] == id)
        return true;
    return false;
  });
  EXPECT_GT(known, int64_t(batch.values.size() / 20));
  EXPECT_LT(known, int64_t(batch.values.size() / 2));
  auto outputs = interpret(runner.getModule(), batch, tables.getTables());
  ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
  EXPECT_TRUE(outputs->badIds.empty());
}

TEST(ReferenceRandomTest, FillsParameters) {
  Runner runner(withParameters);
  RandomTables tables(runner.getModule(), 1);
  ASSERT_TRUE(tables.isComplete());
  TableData weights = tables.getTables().lookup("p");
  EXPECT_EQ(weights.rows, 7);
  auto numbers = fromBytes<float>(weights.bytes);
  ASSERT_EQ(numbers.size(), 7u);
  EXPECT_TRUE(llvm::all_of(numbers, [](float w) { return std::fabs(w) <= 2; }));
  EXPECT_NE(numbers[0], numbers[1]);

  TableData map = tables.getTables().lookup("m");
  EXPECT_EQ(map.rows, 300);
  auto rows = fromBytes<int32_t>(map.bytes);
  ASSERT_EQ(rows.size(), 300u);
  EXPECT_TRUE(
      llvm::all_of(rows, [](int row) { return row >= -1 && row < 50; }));
  EXPECT_GT(llvm::count(rows, -1), 40);
  EXPECT_LT(llvm::count(rows, -1), 120);
}

TEST(ReferenceRandomTest, KeepsBagsWithinPositionWeights) {
  Runner runner(withParameters);
  RandomTables tables(runner.getModule(), 1);
  llvm::StringMap<BagLimits> limits = findBagLimits(runner.getModule());
  EXPECT_EQ(limits.size(), 1u);
  EXPECT_EQ(limits.lookup("a").least, 0);
  EXPECT_EQ(limits.lookup("a").most, 7);
  BatchShape shape;
  shape.batchSize = 200;
  Batch batch =
      makeRandomBatches(runner.getModule(), tables.getTables(), shape, 1)
          .front();
  auto longest = [&](size_t key) {
    auto lengths = ArrayRef(batch.lengths).slice(200 * key, 200);
    return *std::max_element(lengths.begin(), lengths.end());
  };
  EXPECT_EQ(longest(0), 7);
  EXPECT_EQ(longest(1), 20);
  // Ids of a are in bounds of the table and of the map.
  auto outputs = interpret(runner.getModule(), batch, tables.getTables());
  ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
  EXPECT_TRUE(outputs->badIds.empty());
}

TEST(ReferenceRandomTest, FindsTheTablesOfKeys) {
  Runner runner(withParameters);
  RandomTables tables(runner.getModule(), 1, Pages::huge);
  auto found = findKeyTables(runner.getModule(), tables.getTables());
  EXPECT_EQ(found.size(), 2u);
  // "a" is looked up through the map and without it.
  EXPECT_EQ(found.lookup("a").fewestRows, 50);
  EXPECT_EQ(found.lookup("a").mostRows, 300);
  EXPECT_EQ(found.lookup("a").rowBytes, 2);
  EXPECT_EQ(found.lookup("b").fewestRows, 50);
  EXPECT_EQ(found.lookup("b").mostRows, 50);
}

TEST(ReferenceRandomTest, PagesDoNotChangeRows) {
  Runner runner(makeModule({"50x3, int8", "3, int8"}));
  RandomTables plain(runner.getModule(), 1);
  for (Pages pages : {Pages::small, Pages::huge}) {
    RandomTables tables(runner.getModule(), 1, pages);
    ASSERT_TRUE(tables.isComplete());
    EXPECT_EQ(tables.getTables().lookup("t").bytes,
              plain.getTables().lookup("t").bytes);
  }
}

TEST(ReferenceRandomTest, FillsRowsOfSmallFloats) {
  Runner runner(makeModule({"50x3, bf16", "3, bf16"}));
  RandomTables tables(runner.getModule(), 1);
  auto halves = fromBytes<uint16_t>(tables.getTables().lookup("t").bytes);
  ASSERT_EQ(halves.size(), 150u);
  EXPECT_TRUE(llvm::all_of(halves, [](uint16_t bits) {
    return std::fabs(bfloat16ToFloat(bits)) <= 4;
  }));
  Runner bytes(makeModule({"5000x3, fp8", "3, fp8"}));
  RandomTables fp8(bytes.getModule(), 1);
  TableData data = fp8.getTables().lookup("t");
  ASSERT_EQ(data.bytes.size(), 15000u);
  // Every number of the format.
  for (int bits = 0; bits < 256; ++bits)
    EXPECT_TRUE(llvm::is_contained(data.bytes, bits)) << bits;
}

TEST(ReferenceRandomTest, FillsLargeTablesInPart) {
  // A terabyte of rows: reserved, and mostly never touched.
  Runner runner(makeModule({"10000000000x96, int8", "96, int8", "96"}));
  RandomTables tables(runner.getModule(), 1);
  ASSERT_TRUE(tables.isComplete());
  EXPECT_EQ(countTableBytes(runner.getModule()), 1000000000000);
  int64_t stride = tables.getStride();
  EXPECT_EQ(stride, (10000000000 + 16383) / 16384);
  BatchShape shape;
  shape.batchSize = 20;
  shape.stride = stride;
  Batch batch =
      makeRandomBatches(runner.getModule(), tables.getTables(), shape, 1)
          .front();
  int64_t filled = llvm::count_if(
      batch.values, [&](int64_t id) { return id >= 0 && id % stride == 0; });
  EXPECT_GT(filled, int64_t(batch.values.size()) / 2);
}

TEST(ReferenceRandomTest, SaysWhereThereIsNoMemory) {
  // More than any address space holds.
  Runner runner(
      makeModule({"60000000000x16000000, int8", "16000000, int8", "16000000"}));
  EXPECT_FALSE(RandomTables(runner.getModule(), 1).isComplete());
}
