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
    return makeRandomBatch(runner.getModule(), one.getTables(), shape, seed);
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
      makeRandomBatch(runner.getModule(), tables.getTables(), shape, 1);
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
  batch = makeRandomBatch(runner.getModule(), tables.getTables(), shape, 1);
  EXPECT_EQ(batch.values.size(), 2000u * 7);
  EXPECT_TRUE(llvm::all_of(batch.values,
                           [](int64_t id) { return id >= 0 && id < 50; }));
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
      makeRandomBatch(runner.getModule(), tables.getTables(), shape, 1);
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
