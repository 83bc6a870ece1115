//===- ReferenceParametersTest.cpp - Fused maps, weights by position ------===//
//
// What maps of pruned tables, weights by position and groups without pooling
// mean where lookups are fused, by hand.
//
//===----------------------------------------------------------------------===//

#include "ReferenceSupport.h"

using namespace mlir;
using namespace mlir::trec;

using Floats = std::vector<float>;
using Halves = std::vector<uint16_t>;

static constexpr char declarations[] = R"(
  !row = !trec.row<2, fp32, #trec.row_layout<header = none>>
  !kjt = !trec.kjt<["a", "b"]>
  !keyed = !trec.keyed_tensor<["x", "y"], [2, 2], f32>
  !dict = !trec.jagged_dict<["x", "y", "z"], [2, 2, 2], f16>
  trec.table @t : !trec.table<3x2, fp32, #trec.row_layout<header = none>>
  trec.parameter @p : tensor<2xf32>
  trec.parameter @q : tensor<3xf32>
  trec.parameter @m maps <array> : tensor<4xi32>
)";

/// Rows 1 2, 10 20 and 100 200; weights 2 3 and 5 7 11; a map to 2, none, 0, 9.
static void bindAll(Runner &runner) {
  runner.bind("t", toBytes<float>({1, 2, 10, 20, 100, 200}), 3);
  runner.bind("p", toBytes<float>({2, 3}), 2);
  runner.bind("q", toBytes<float>({5, 7, 11}), 3);
  runner.bind("m", toBytes<int32_t>({2, -1, 0, 9}), 4);
}

static std::string forward(const char *result, const char *ops) {
  return std::string(declarations) + "func.func @forward(%kjt: !kjt) -> " +
         result + " {\n" + ops + "\nreturn %out : " + result + "\n}";
}

/// Two samples: a has ids in bags of two and one, b in bags of one and two.
static Batch batchOf(std::vector<int64_t> values) {
  return {2, {"a", "b"}, std::move(values), {2, 1, 1, 2}, {}};
}

TEST(ReferenceParametersTest, WeightsFusedBagsByPosition) {
  for (const char *ops : {
           R"(
      %a = trec.feature %kjt "a" : !kjt
      %b = trec.feature %kjt "b" : !kjt
      %x = trec.embedding_bag sum @t[%a] position_weights @p bounds warning : tensor<?x2xf32>
      %y = trec.embedding_bag sum @t[%b] position_weights @q bounds warning : tensor<?x2xf32>
      %out = trec.keyed_tensor %x, %y : (tensor<?x2xf32>, tensor<?x2xf32>) -> !keyed)",
           R"(
      %0 = trec.empty : !keyed
      %out = trec.embedding_bag_group sum %kjt into %0
        [#trec.bag<@t, "b", 2, weights = @q>, #trec.bag<@t, "a", 0, weights = @p>]
        rows !row bounds warning : !kjt, !keyed)"}) {
    Runner runner(forward("!keyed", ops));
    bindAll(runner);
    // 2 * 1 + 3 * 10 and 5 * 100; then 2 * 100 and, -1 skipped, 7 * 10.
    EXPECT_EQ(runner.runFloats(batchOf({0, 1, 2, 2, -1, 1})),
              (Floats{32, 64, 500, 1000, 200, 400, 70, 140}));
    Batch tooLong{1, {"a", "b"}, {0, 0, 0}, {3, 0}, {}};
    EXPECT_EQ(runner.errorOf(tooLong),
              "expected bags of at most 2 ids, one per position weight, got 3 "
              "ids of feature \"a\", sample 0");
  }
}

TEST(ReferenceParametersTest, MapsIdsOfFusedBags) {
  for (const char *ops : {
           R"(
      %a = trec.feature %kjt "a" : !kjt
      %b = trec.feature %kjt "b" : !kjt
      %checked = trec.check_bounds warning %a in @m
      %mapped = trec.remap %checked by @m
      %rows = trec.lookup @t[%mapped] : <!row>
      %values = trec.dequantize %rows : <!row>
      %x = trec.pool mean %values : <!trec.dequantized<2>>
      %y = trec.embedding_bag mean @t[%b] remap @m bounds warning : tensor<?x2xf32>
      %out = trec.keyed_tensor %x, %y : (tensor<?x2xf32>, tensor<?x2xf32>) -> !keyed)",
           R"(
      %0 = trec.empty : !keyed
      %out = trec.embedding_bag_group mean %kjt into %0
        [#trec.bag<@t, "a", 0, remap = @m>, #trec.bag<@t, "b", 2, remap = @m>]
        rows !row bounds warning : !kjt, !keyed)"}) {
    Runner runner(forward("!keyed", ops));
    bindAll(runner);
    // Id 1 is pruned, id 3 is mapped to no row, and id 4 is outside the map: it
    // counts as id 0. All of them count in the mean.
    Outputs outputs = runner.run(batchOf({2, 1, 4, 3, 0, -1}));
    EXPECT_EQ(fromBytes<float>(outputs.bytes),
              (Floats{0.5f, 1, 0, 0, 100, 200, 50, 100}));
    ASSERT_EQ(outputs.badIds.size(), 1u);
    EXPECT_EQ(outputs.badIds[0].feature, "a");
    EXPECT_EQ(outputs.badIds[0].sample, 1);
    EXPECT_EQ(outputs.badIds[0].position, 0);
    EXPECT_EQ(outputs.badIds[0].id, 4);
    EXPECT_EQ(outputs.badIds[0].rows, 4);
  }
}

TEST(ReferenceParametersTest, WeightsMappedIdsByPosition) {
  Runner runner(forward("!keyed", R"(
      %0 = trec.empty : !keyed
      %out = trec.embedding_bag_group sum %kjt into %0
        [#trec.bag<@t, "a", 0, weights = @q, remap = @m>, #trec.bag<@t, "b", 2, weights = @q, remap = @m>]
        rows !row bounds warning : !kjt, !keyed)"));
  bindAll(runner);
  // A pruned id takes its place in the bag: 7 * 1, 5 * 100; 5 * 1, 5 * 100 + 7.
  EXPECT_EQ(runner.runFloats(batchOf({1, 2, 0, 2, 0, 2})),
            (Floats{7, 14, 5, 10, 500, 1000, 507, 1014}));
}

TEST(ReferenceParametersTest, PrunesAllIdsByAnEmptyMap) {
  Runner runner(R"(
    !kjt = !trec.kjt<["a"]>
    !keyed = !trec.keyed_tensor<["a"], [1], f32>
    trec.table @t : !trec.table<1x1, fp32, #trec.row_layout<header = none>>
    trec.parameter @m maps <array> : tensor<0xi32>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %a = trec.feature %kjt "a" : !kjt
      %x = trec.embedding_bag sum @t[%a] remap @m bounds warning : tensor<?x1xf32>
      %out = trec.keyed_tensor %x : (tensor<?x1xf32>) -> !keyed
      return %out : !keyed
    })");
  runner.bind("t", toBytes<float>({8}), 1);
  runner.bind("m", {}, 0);
  Outputs outputs = runner.run({1, {"a"}, {0, -1, 5}, {3}, {}});
  EXPECT_EQ(fromBytes<float>(outputs.bytes), (Floats{0}));
  EXPECT_EQ(outputs.badIds.size(), 2u);
}

TEST(ReferenceParametersTest, RunsGroupsWithoutPooling) {
  Runner runner(forward("!dict", R"(
      %0 = trec.empty : !dict
      %1 = trec.embedding_group %kjt into %0
        [#trec.bag<@t, "b", 2>, #trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !dict
      %out = trec.embedding_group %kjt into %1
        [#trec.bag<@t, "a", 1, remap = @m>] rows !row bounds warning : !kjt, !dict)"));
  bindAll(runner);
  Outputs outputs = runner.run(batchOf({0, -1, 2, 1, 9, 0}));
  ASSERT_EQ(outputs.jagged.size(), 3u);
  using Lengths = std::vector<int64_t>;
  EXPECT_EQ(outputs.jagged[0].key, "x");
  EXPECT_EQ(outputs.jagged[0].lengths, (Lengths{2, 1}));
  EXPECT_EQ(fromBytes<uint16_t>(outputs.jagged[0].bytes),
            (Halves{0x3c00, 0x4000, 0, 0, 0x5640, 0x5a40}));
  // Mapped: rows 2, none and 0.
  EXPECT_EQ(outputs.jagged[1].key, "y");
  EXPECT_EQ(outputs.jagged[1].lengths, (Lengths{2, 1}));
  EXPECT_EQ(fromBytes<uint16_t>(outputs.jagged[1].bytes),
            (Halves{0x5640, 0x5a40, 0, 0, 0x3c00, 0x4000}));
  EXPECT_EQ(outputs.jagged[2].key, "z");
  EXPECT_EQ(outputs.jagged[2].lengths, (Lengths{1, 2}));
  EXPECT_EQ(fromBytes<uint16_t>(outputs.jagged[2].bytes),
            (Halves{0x4900, 0x4d00, 0x3c00, 0x4000, 0x3c00, 0x4000}));
  ASSERT_EQ(outputs.badIds.size(), 1u);
  EXPECT_EQ(outputs.badIds[0].feature, "b");
  EXPECT_EQ(outputs.badIds[0].id, 9);
}

TEST(ReferenceParametersTest, RefusesWrongParameters) {
  Runner runner(forward("!keyed", R"(
      %a = trec.feature %kjt "a" : !kjt
      %x = trec.embedding_bag sum @t[%a] position_weights @p remap @m bounds fatal : tensor<?x2xf32>
      %out = trec.keyed_tensor %x, %x : (tensor<?x2xf32>, tensor<?x2xf32>) -> !keyed)"));
  bindAll(runner);
  EXPECT_EQ(runner.errorOf(batchOf({0, 4, 0, 0, 0, 0})),
            "id out of bounds: feature \"a\", table \"m\", sample 0, position "
            "1: id 4, expected -1 or below 4");
  runner.bind("m", toBytes<int32_t>({0}), 1);
  EXPECT_EQ(runner.errorOf(batchOf({0, 0, 0, 0, 0, 0})),
            "expected 16 bytes of parameter \"m\", got 4");
  bindAll(runner);
  runner.bind("p", {}, 0);
  EXPECT_EQ(runner.errorOf(batchOf({0, 0, 0, 0, 0, 0})),
            "expected 8 bytes of parameter \"p\", got 0");
}
