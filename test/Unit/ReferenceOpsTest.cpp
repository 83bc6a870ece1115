//===- ReferenceOpsTest.cpp - Ops beyond a plain lookup
//---------------------===//
//
// Remapped ids, weights by position, rows that are not pooled, and the fused
// ops; then what the interpreter refuses.
//
//===----------------------------------------------------------------------===//

#include "ReferenceSupport.h"

#include <numeric>

using namespace mlir;
using namespace mlir::trec;

using Floats = std::vector<float>;

static constexpr char table[] =
    "!row = !trec.row<2, fp32, #trec.row_layout<header = none>>\n"
    "trec.table @t : !trec.table<3x2, fp32, #trec.row_layout<header = none>>\n"
    "trec.table @u : !trec.table<3x2, fp32, #trec.row_layout<header = none>>\n";

/// Rows 1 2, 10 20 and 100 200, and their negatives in the second table.
static void bindTables(Runner &runner) {
  runner.bind("t", toBytes<float>({1, 2, 10, 20, 100, 200}), 3);
  runner.bind("u", toBytes<float>({-1, -2, -10, -20, -100, -200}), 3);
}

static Batch twoBags(std::vector<int64_t> values, std::vector<int64_t> lengths,
                     std::vector<float> weights = {}) {
  return {2, {"a"}, std::move(values), std::move(lengths), std::move(weights)};
}

static std::string remapModule(const char *map) {
  return std::string(table) + "trec.parameter @map maps " + map + R"(
    !kjt = !trec.kjt<["a"]>
    !keyed = !trec.keyed_tensor<["a"], [2], f32>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %ids = trec.feature %kjt "a" : !kjt
      %mapped = trec.remap %ids by @map
      %rows = trec.lookup @t[%mapped] : <!row>
      %values = trec.dequantize %rows : <!row>
      %pooled = trec.pool mean %values : <!trec.dequantized<2>>
      %out = trec.keyed_tensor %pooled : (tensor<?x2xf32>) -> !keyed
      return %out : !keyed
    })";
}

TEST(ReferenceOpsTest, RemapsIdsByAnArray) {
  Runner runner(remapModule("<array> : tensor<4xi32>"));
  bindTables(runner);
  runner.bind("map", toBytes<int32_t>({2, -1, 0, 1}), 4);
  // Id 1 is pruned and counts in the mean, as -1 does.
  EXPECT_EQ(runner.runFloats(twoBags({3, 1, -1, 0}, {2, 2})),
            (Floats{5, 10, 50, 100}));
  EXPECT_EQ(runner.errorOf(twoBags({4}, {1, 0})),
            "id 4 of feature \"a\" is outside its map of 4 ids");
}

// The hashes of 1 to 5 are 1364076727, 821347078, 2247144487, 614249093 and
// 3423425485: slots 3, 2, 3, 1 and 1 of four.
TEST(ReferenceOpsTest, RemapsIdsByAHashTable) {
  Runner runner(remapModule("<hash_table, ids = 6> : tensor<4x2xi32>"));
  bindTables(runner);
  runner.bind("map", toBytes<int32_t>({3, 0, -1, 7, 2, 1, 1, 2}), 4);
  // Id 3 is found beyond the end, id 4 is not found at an empty slot.
  EXPECT_EQ(runner.runFloats(twoBags({1, 3, -1, 2, 4}, {2, 3})),
            (Floats{50.5f, 101, 10.0f * (1.0f / 3.0f), 20.0f * (1.0f / 3.0f)}));
  EXPECT_EQ(runner.errorOf(twoBags({6}, {1, 0})),
            "id 6 of feature \"a\" is outside its map of 6 ids");
  // A full table does not make a search endless.
  runner.bind("map", toBytes<int32_t>({3, 0, 4, 0, 2, 1, 1, 2}), 4);
  EXPECT_EQ(runner.runFloats(twoBags({5}, {1, 0})), (Floats{0, 0, 0, 0}));
}

TEST(ReferenceOpsTest, RemapsIdsByASortedMap) {
  Runner runner(remapModule("<sorted> : tensor<?x2xi64>"));
  bindTables(runner);
  runner.bind("map",
              toBytes<int64_t>({-1, 1, 7, 0, 7, 2, int64_t(1) << 40, -1}), 4);
  // -1 is an id like others, of equal ones the first counts, and ids that are
  // not there go to row 3, which the table does not have.
  EXPECT_EQ(runner.runFloats(twoBags({-1, 7, int64_t(1) << 40, 8}, {2, 2})),
            (Floats{5.5f, 11, 0, 0}));
  runner.bind("map", toBytes<int64_t>({0, 0, INT64_MAX, 0}), 2);
  EXPECT_EQ(runner.runFloats(twoBags({INT64_MAX, INT64_MIN}, {1, 1})),
            (Floats{1, 2, 10, 20}));
  runner.bind("map", {}, 0);
  EXPECT_EQ(runner.runFloats(twoBags({0, 5}, {1, 1})), (Floats{0, 0, 0, 0}));
}

TEST(ReferenceOpsTest, WeightsByPosition) {
  Runner runner(std::string(table) + R"(
    trec.parameter @p : tensor<2xf32>
    !kjt = !trec.kjt<["a"]>
    !keyed = !trec.keyed_tensor<["a"], [2], f32>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %ids = trec.feature %kjt "a" : !kjt
      %weights = trec.position_weights %ids from @p
      %rows = trec.lookup @t[%ids] : <!row>
      %values = trec.dequantize %rows : <!row>
      %weighted = trec.weight %values by %weights : <!trec.dequantized<2>>
      %pooled = trec.pool sum %weighted : <!trec.dequantized<2>>
      %out = trec.keyed_tensor %pooled : (tensor<?x2xf32>) -> !keyed
      return %out : !keyed
    })");
  bindTables(runner);
  EXPECT_EQ(runner.errorOf(twoBags({}, {0, 0})),
            "expected elements of parameter \"p\", got none");
  runner.bind("p", toBytes<float>({2, 3, 4}), 3);
  EXPECT_EQ(runner.errorOf(twoBags({}, {0, 0})),
            "expected 8 bytes of parameter \"p\", got 12");
  runner.bind("p", toBytes<float>({2, 3}), 2);
  EXPECT_EQ(runner.runFloats(twoBags({0, 1, 2}, {2, 1})),
            (Floats{32, 64, 200, 400}));
  EXPECT_EQ(runner.errorOf(twoBags({0, 0, 0}, {0, 3})),
            "expected bags of at most 2 ids, one per position weight, got 3 "
            "ids of feature \"a\", sample 1");
}

/// Both ways to say an EmbeddingCollection.
static std::string collection(const char *ops) {
  return std::string(table) + R"(
    !kjt = !trec.kjt<["a"]>
    !rows = !trec.jagged<vector<2xf16>>
    !dict = !trec.jagged_dict<["a"], [2], f16>
    func.func @forward(%kjt: !kjt) -> !dict {
      %ids = trec.feature %kjt "a" : !kjt
      )" +
         ops + R"(
      %dict = trec.jagged_dict %floats : (!rows) -> !dict
      return %dict : !dict
    })";
}

TEST(ReferenceOpsTest, MaterializesRows) {
  for (const char *ops : {R"(
      %checked = trec.check_bounds warning %ids in @t
      %rows = trec.lookup @t[%checked] : <!row>
      %values = trec.dequantize %rows : <!row>
      %floats = trec.materialize %values : <!trec.dequantized<2>> -> <vector<2xf16>>)",
                          "%floats = trec.embedding @t[%ids] bounds warning "
                          ": <vector<2xf16>>"}) {
    Runner runner(collection(ops));
    bindTables(runner);
    Outputs outputs = runner.run(twoBags({1, -1, 9}, {2, 1}));
    ASSERT_EQ(outputs.jagged.size(), 1u);
    EXPECT_EQ(outputs.jagged[0].key, "a");
    EXPECT_EQ(outputs.jagged[0].lengths, (std::vector<int64_t>{2, 1}));
    EXPECT_EQ(fromBytes<uint16_t>(outputs.jagged[0].bytes),
              (std::vector<uint16_t>{0x4900, 0x4d00, 0, 0, 0x3c00, 0x4000}));
    EXPECT_EQ(outputs.badIds.size(), 1u);
  }
}

/// The bytes 16 to 21 of row 1, without its padding; zeros for -1; row 0.
TEST(ReferenceOpsTest, CopiesStoredRows) {
  const std::string model = R"(
    !kjt = !trec.kjt<["a"]>
    !row = !trec.row<2, int8, #trec.row_layout<header = f16, align = 16>>
    !dict = !trec.jagged_dict<["a"], [6], i8>
    trec.table @t : !trec.table<3x2, int8, #trec.row_layout<header = f16, align = 16>>
    func.func @forward(%kjt: !kjt) -> !dict {
  )";
  const std::string lookup = R"(
      %ids = trec.feature %kjt "a" : !kjt
      %checked = trec.check_bounds warning %ids in @t
      %rows = trec.lookup @t[%checked] : <!row>
      %bytes = trec.stored_bytes %rows : <!row>
      %dict = trec.jagged_dict %bytes : (!trec.jagged<vector<6xi8>>) -> !dict
  )";
  const std::string fused = R"(
      %ids = trec.feature %kjt "a" : !kjt
      %bytes = trec.embedding @t[%ids] bounds warning : <vector<6xi8>>
      %dict = trec.jagged_dict %bytes : (!trec.jagged<vector<6xi8>>) -> !dict
  )";
  const std::string group = R"(
      %empty = trec.empty : !dict
      %dict = trec.embedding_group %kjt into %empty [#trec.bag<@t, "a", 0>]
        rows !row bounds warning : !kjt, !dict
  )";
  std::vector<uint8_t> bytes(48);
  std::iota(bytes.begin(), bytes.end(), uint8_t(0));
  for (const std::string &ops : {lookup, fused, group}) {
    Runner runner(model + ops + "return %dict : !dict }");
    runner.bind("t", bytes, 3);
    Outputs outputs = runner.run(twoBags({1, -1, 9}, {2, 1}));
    ASSERT_EQ(outputs.jagged.size(), 1u);
    EXPECT_EQ(outputs.jagged[0].bytes,
              (std::vector<uint8_t>{16, 17, 18, 19, 20, 21, 0, 0, 0, 0, 0, 0, 0,
                                    1, 2, 3, 4, 5}));
    EXPECT_EQ(outputs.badIds.size(), 1u);
  }
}

TEST(ReferenceOpsTest, RunsFusedBags) {
  Runner runner(std::string(table) + R"(
    !kjt = !trec.kjt<["a"], weighted>
    !keyed = !trec.keyed_tensor<["a"], [2], f16>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %ids = trec.feature %kjt "a" : !kjt
      %weights = trec.sample_weights %kjt "a" : !kjt
      %pooled = trec.embedding_bag mean @t[%ids] weights %weights bounds ignore : tensor<?x2xf16>
      %out = trec.keyed_tensor %pooled : (tensor<?x2xf16>) -> !keyed
      return %out : !keyed
    })");
  bindTables(runner);
  Outputs outputs = runner.run(twoBags({0, 1, 5}, {2, 1}, {2, 3, 4}));
  // (2 * 1 + 3 * 10) / 2, (2 * 2 + 3 * 20) / 2, then row 0 four times.
  EXPECT_EQ(fromBytes<uint16_t>(outputs.bytes),
            (std::vector<uint16_t>{0x4c00, 0x5000, 0x4400, 0x4800}));
  EXPECT_EQ(outputs.badIds.size(), 1u);
}

static std::string groupModule(const char *keyword, const char *kjt) {
  return std::string(table) + "!kjt = !trec.kjt<[\"a\", \"b\"]" + kjt + R"(>
    !keyed = !trec.keyed_tensor<["x", "y", "z"], [2, 2, 2], f32>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %0 = trec.empty : !keyed
      %1 = trec.embedding_bag_group sum )" +
         keyword + R"( %kjt into %0
        [#trec.bag<@u, "a", 2>, #trec.bag<@t, "b", 0>]
        rows !row bounds warning : !kjt, !keyed
      return %1 : !keyed
    })";
}

TEST(ReferenceOpsTest, RunsGroups) {
  Batch batch{1, {"a", "b"}, {0, 1, 2}, {1, 2}, {}};
  Runner plain(groupModule("", ""));
  bindTables(plain);
  Floats output = plain.runFloats(batch);
  ASSERT_EQ(output.size(), 6u);
  // The last columns belong to no bag: they are NaN, so that they show.
  EXPECT_TRUE(output[4] != output[4]);
  output.resize(4);
  EXPECT_EQ(output, (Floats{110, 220, -1, -2}));

  batch.weights = {2, 3, 4};
  Runner weighted(groupModule("weighted", ", weighted"));
  bindTables(weighted);
  output = weighted.runFloats(batch);
  output.resize(4);
  EXPECT_EQ(output, (Floats{430, 860, -2, -4}));
  batch.weights.clear();
  EXPECT_EQ(weighted.errorOf(batch), "expected a batch with weights, got none");
}

TEST(ReferenceOpsTest, RefusesWrongBatches) {
  Runner runner(makeModule({"3x3, int8", "3, int8"}));
  EXPECT_EQ(runner.errorOf(twoBags({}, {0, 0, 0})),
            "expected 2 lengths, got 3");
  EXPECT_EQ(runner.errorOf(twoBags({}, {1, -1})),
            "expected lengths of at least 0, got -1");
  EXPECT_EQ(runner.errorOf(twoBags({1}, {1, 1})),
            "expected 2 ids, the sum of the lengths, got 1");
  EXPECT_EQ(runner.errorOf(twoBags({1}, {1, 0}, {1, 1})),
            "expected 1 weights, one per id, got 2");
  EXPECT_EQ(runner.errorOf({0, {"b"}, {}, {}, {}}),
            "expected a batch with key \"a\", got none of this name");
}

TEST(ReferenceOpsTest, RefusesWrongTables) {
  Runner runner(makeModule({"3x3, int8", "3, int8"}));
  Batch batch = twoBags({}, {0, 0});
  EXPECT_EQ(runner.errorOf(batch), "expected rows for table \"t\", got none");
  runner.bind("t", {}, 0);
  EXPECT_EQ(runner.errorOf(batch), "expected 3 rows of table \"t\", got 0");
  runner.bind("t", std::vector<uint8_t>(20), 3);
  EXPECT_EQ(runner.errorOf(batch), "expected 21 bytes of table \"t\", got 20");
}

TEST(ReferenceOpsTest, RefusesWhatHasNoMeaning) {
  const char signature[] =
      "expected a function @forward of one block that takes a batch and "
      "returns an output";
  EXPECT_EQ(Runner("").errorOf({}), signature);
  EXPECT_EQ(Runner("func.func @forward() { return }").errorOf({}), signature);
  Runner cast(std::string(table) + R"(
    !kjt = !trec.kjt<["a"]>
    !keyed = !trec.keyed_tensor<["a"], [2], f32>
    func.func @forward(%kjt: !kjt) -> !keyed {
      %0 = builtin.unrealized_conversion_cast %kjt : !kjt to !keyed
      return %0 : !keyed
    })");
  EXPECT_EQ(cast.errorOf({0, {"a"}, {}, {}, {}}),
            "op 'builtin.unrealized_conversion_cast' has no meaning outside "
            "compiled code");
}
