//===- ReferenceInterpreterTest.cpp - Lookups, by hand
//----------------------===//
//
// Numbers that were worked out on paper, some so that any other order or
// rounding would give others.
//
//===----------------------------------------------------------------------===//

#include "ReferenceSupport.h"

#include "trec/Reference/Numerics.h"

#include <cmath>

using namespace mlir;
using namespace mlir::trec;

using Floats = std::vector<float>;

/// A row of codes: scale, bias, packed codes.
static std::vector<uint8_t> makeRow(float scale, float bias,
                                    std::vector<uint8_t> codes) {
  std::vector<uint8_t> row =
      toBytes<uint16_t>({floatToHalf(scale), floatToHalf(bias)});
  row.insert(row.end(), codes.begin(), codes.end());
  return row;
}

static std::vector<uint8_t> join(std::vector<std::vector<uint8_t>> rows) {
  std::vector<uint8_t> bytes;
  for (const auto &row : rows)
    bytes.insert(bytes.end(), row.begin(), row.end());
  return bytes;
}

/// Row 0 is -1, 0, 1 and row 1 is 3, 5, 7.
static const std::vector<uint8_t> int8Rows =
    join({makeRow(0.5f, -1.0f, {0, 2, 4}), makeRow(2.0f, 1.0f, {1, 2, 3})});

static Batch bags(std::vector<std::vector<int64_t>> ids,
                  std::vector<float> weights = {}) {
  Batch batch{int64_t(ids.size()), {"a"}, {}, {}, std::move(weights)};
  for (const auto &bag : ids) {
    batch.lengths.push_back(bag.size());
    batch.values.insert(batch.values.end(), bag.begin(), bag.end());
  }
  return batch;
}

/// The output of one table for a batch.
static Floats pool(const OneLookup &lookup, const std::vector<uint8_t> &bytes,
                   int64_t rows, const Batch &batch) {
  Runner runner(makeModule(lookup));
  runner.bind("t", bytes, rows);
  return runner.runFloats(batch);
}

TEST(ReferenceInterpreterTest, SumsBags) {
  EXPECT_EQ(pool({"2x3, int8", "3, int8"}, int8Rows, 2,
                 bags({{0, 1}, {}, {-1, 1}, {1, 1}})),
            (Floats{2, 5, 8, 0, 0, 0, 3, 5, 7, 6, 10, 14}));
}

TEST(ReferenceInterpreterTest, AveragesOverSkippedIdsToo) {
  EXPECT_EQ(pool({"2x3, int8", "3, int8", "3", "mean"}, int8Rows, 2,
                 bags({{0, 1}, {}, {-1, 1}})),
            (Floats{1, 2.5, 4, 0, 0, 0, 1.5, 2.5, 3.5}));
}

TEST(ReferenceInterpreterTest, MultipliesByTheRoundedReciprocal) {
  // 10 * (1.0f / 3) is not 10.0f / 3.
  float expected = 10.0f * (1.0f / 3.0f);
  EXPECT_NE(expected, 10.0f / 3.0f);
  EXPECT_EQ(pool({"1x1, fp32", "1, fp32", "1", "mean"}, toBytes<float>({10}), 1,
                 bags({{0, -1, -1}})),
            (Floats{expected}));
}

TEST(ReferenceInterpreterTest, UnpacksInt4FromTheLowBitsOn) {
  EXPECT_EQ(
      pool({"2x3, int4", "3, int4"},
           join({makeRow(1, 0, {0x21, 0x03}), makeRow(1, 0, {0xfe, 0x0d})}), 2,
           bags({{0}, {1}})),
      (Floats{1, 2, 3, 14, 15, 13}));
}

TEST(ReferenceInterpreterTest, UnpacksInt2FromTheLowBitsOn) {
  EXPECT_EQ(pool({"1x5, int2", "5, int2", "5"}, makeRow(1, 0, {0xe4, 0x01}), 1,
                 bags({{0}})),
            (Floats{0, 1, 2, 3, 1}));
}

TEST(ReferenceInterpreterTest, ReadsFloats) {
  EXPECT_EQ(pool({"2x2, fp32", "2, fp32", "2"},
                 toBytes<float>({1.5f, -2, 4, 8}), 2, bags({{0, 1}, {1}})),
            (Floats{5.5f, 6, 4, 8}));
  EXPECT_EQ(pool({"2x3, fp16", "3, fp16"},
                 toBytes<uint16_t>({0x3c00, 0xc000, 0x0001, 0x7bff, 0, 0}), 2,
                 bags({{0}, {1}})),
            (Floats{1, -2, std::ldexp(1.0f, -24), 65504, 0, 0}));
}

TEST(ReferenceInterpreterTest, ReadsBFloat16) {
  std::vector<uint8_t> rows =
      toBytes<uint16_t>({0x3f80, 0xc000, 0x0001, 0x3fc0, 0x4049, 0});
  EXPECT_EQ(
      pool({"2x3, bf16", "3, bf16"}, rows, 2, bags({{0, 1}, {1}})),
      (Floats{2.5f, 1.140625f, std::ldexp(1.0f, -133), 1.5f, 3.140625f, 0}));
  OneLookup weighted{"2x3, bf16", "3, bf16", "3", "sum", "warning", true};
  EXPECT_EQ(pool(weighted, rows, 2, bags({{0, 1}}, {2, -1})),
            (Floats{0.5f, -7.140625f, std::ldexp(1.0f, -132)}));
}

TEST(ReferenceInterpreterTest, ReadsFloat8) {
  // 1, -1.5 and 2^-9; 480, 0.001953125 and -0.
  std::vector<uint8_t> rows{0x38, 0xbc, 0x01, 0x7f, 0x01, 0x80};
  EXPECT_EQ(pool({"2x3, fp8", "3, fp8"}, rows, 2, bags({{0, 1}, {0}})),
            (Floats{481, -1.498046875f, 0.001953125f, 1, -1.5f, 0.001953125f}));
  OneLookup mean{"2x3, fp8", "3, fp8", "3", "mean", "warning", true};
  EXPECT_EQ(pool(mean, rows, 2, bags({{0, 1}}, {4, 0.5f})),
            (Floats{122, -2.99951171875f, 0.00390625f}));
}

TEST(ReferenceInterpreterTest, LosesMinusZero) {
  Floats output = pool({"1x1, fp32", "1, fp32", "1"}, toBytes<float>({-0.0f}),
                       1, bags({{0}}));
  EXPECT_FALSE(std::signbit(output[0]));
}

TEST(ReferenceInterpreterTest, AddsTheBiasBeforeTheCode) {
  // Four rows make 2^24. Adding 1 and then 1 to it leaves it; adding 2 does
  // not.
  EXPECT_EQ(pool({"2x1, int8", "1, int8", "1"},
                 join({makeRow(32768, 0, {128}), makeRow(1, 1, {1})}), 2,
                 bags({{0, 0, 0, 0, 1}})),
            (Floats{16777216.0f}));
}

TEST(ReferenceInterpreterTest, RoundsTheWeightedScale) {
  // scale * weight is 1 + 2^-10 + 2^-14 + 2^-24, a tie that rounds down; the
  // bias then cancels all but 2^-10.
  float weight = 1 + std::ldexp(1.0f, -14);
  EXPECT_EQ(pool({"1x1, int8", "1, int8", "1", "sum", "warning", true},
                 makeRow(1 + std::ldexp(1.0f, -10), -1, {1}), 1,
                 bags({{0}}, {weight})),
            (Floats{std::ldexp(1.0f, -10)}));
}

TEST(ReferenceInterpreterTest, FusesTheWeightOfFloats) {
  // The product is not rounded: its 2^-24 survives the cancellation.
  float v = 1 + std::ldexp(1.0f, -10), weight = 1 + std::ldexp(1.0f, -14);
  float expected =
      std::ldexp(1.0f, -10) + std::ldexp(1.0f, -14) + std::ldexp(1.0f, -24);
  OneLookup fp16{"2x1, fp16", "1, fp16", "1", "sum", "warning", true};
  EXPECT_EQ(pool(fp16, toBytes<uint16_t>({floatToHalf(-1), floatToHalf(v)}), 2,
                 bags({{0, 1}}, {1, weight})),
            (Floats{expected}));
  OneLookup bf16{"2x1, bf16", "1, bf16", "1", "sum", "warning", true};
  float w = 1 + std::ldexp(1.0f, -17), b = 1 + std::ldexp(1.0f, -7);
  EXPECT_EQ(pool(bf16,
                 toBytes<uint16_t>({floatToBFloat16(-1), floatToBFloat16(b)}),
                 2, bags({{0, 1}}, {1, w})),
            (Floats{std::ldexp(1.0f, -7) + std::ldexp(1.0f, -17) +
                    std::ldexp(1.0f, -24)}));
  OneLookup fp32{"2x1, fp32", "1, fp32", "1", "sum", "warning", true};
  EXPECT_EQ(pool(fp32, toBytes<float>({-1, v}), 2, bags({{0, 1}}, {1, weight})),
            (Floats{expected}));
}

TEST(ReferenceInterpreterTest, TakesTheWeightOfItsOwnIdAfterASkippedOne) {
  OneLookup lookup{"2x3, int8", "3, int8", "3", "mean", "warning", true};
  EXPECT_EQ(pool(lookup, int8Rows, 2, bags({{-1, 1}, {0}}, {100, 2, 4})),
            (Floats{3, 5, 7, -4, 0, 4}));
}

TEST(ReferenceInterpreterTest, UsesRowZeroForBadIdsAndCountsThem) {
  for (const char *policy : {"warning", "ignore"}) {
    Runner runner(makeModule({"2x3, int8", "3, int8", "3", "sum", policy}));
    runner.bind("t", int8Rows, 2);
    Outputs outputs = runner.run(bags({{1}, {1, 2, -2}}));
    EXPECT_EQ(fromBytes<float>(outputs.bytes), (Floats{3, 5, 7, 1, 5, 9}));
    ASSERT_EQ(outputs.badIds.size(), 2u);
    const BadId &last = outputs.badIds[1];
    EXPECT_EQ(last.feature, "a");
    EXPECT_EQ(last.table, "t");
    EXPECT_EQ(last.sample, 1);
    EXPECT_EQ(last.position, 2);
    EXPECT_EQ(last.id, -2);
    EXPECT_EQ(last.rows, 2);
  }
}

TEST(ReferenceInterpreterTest, RefusesBadIdsUnderTheOtherPolicies) {
  for (const char *policy : {"fatal", "none"}) {
    Runner runner(makeModule({"2x3, int8", "3, int8", "3", "sum", policy}));
    runner.bind("t", int8Rows, 2);
    EXPECT_EQ(runner.runFloats(bags({{1, -1}})), (Floats{3, 5, 7}));
    EXPECT_EQ(runner.errorOf(bags({{1}, {1, 2}})),
              "id out of bounds: feature \"a\", table \"t\", sample 1, "
              "position 1: id 2, expected -1 or below 2");
  }
}

TEST(ReferenceInterpreterTest, ReadsZerosFromATableWithoutRows) {
  OneLookup lookup{"?x3, int8", "3, int8"};
  EXPECT_EQ(pool(lookup, {}, 0, bags({{0}, {-1}})), (Floats{0, 0, 0, 0, 0, 0}));
}

TEST(ReferenceInterpreterTest, RoundsOutputs) {
  OneLookup lookup{"1x2, fp32", "2, fp32", "2"};
  std::vector<uint8_t> rows = toBytes<float>({1.00390625f, 70000});
  lookup.output = "bf16";
  Runner bf16(makeModule(lookup));
  bf16.bind("t", rows, 1);
  EXPECT_EQ(fromBytes<uint16_t>(bf16.run(bags({{0}})).bytes),
            (std::vector<uint16_t>{0x3f81, 0x4789}));
  lookup.output = "f16";
  Runner f16(makeModule(lookup));
  f16.bind("t", rows, 1);
  EXPECT_EQ(fromBytes<uint16_t>(f16.run(bags({{0}})).bytes),
            (std::vector<uint16_t>{0x3c04, 0x7c00}));
}

TEST(ReferenceInterpreterTest, FindsItsKeyAmongOthers) {
  Runner runner(makeModule({"2x3, int8", "3, int8"}));
  runner.bind("t", int8Rows, 2);
  // Of two keys of one name the first counts, as in TorchRec.
  Batch batch{2, {"x", "a", "a"}, {9, 9, 9, 1, 0, 0}, {1, 2, 1, 0, 1, 1}, {}};
  EXPECT_EQ(runner.runFloats(batch), (Floats{3, 5, 7, 0, 0, 0}));
  EXPECT_TRUE(runner.runFloats({0, {"a"}, {}, {}, {}}).empty());
}
