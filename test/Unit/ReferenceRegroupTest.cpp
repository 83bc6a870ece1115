//===- ReferenceRegroupTest.cpp - Several batches and their groups --------===//
//
// A regroup of two collections as the importer writes it, and as the compiler
// groups it: the same numbers, and bad ids counted once.
//
//===----------------------------------------------------------------------===//

#include "ReferenceSupport.h"

using namespace mlir;
using namespace mlir::trec;

using Floats = std::vector<float>;

static constexpr char types[] = R"(
!kjt = !trec.kjt<["a"]>
!kjt1 = !trec.kjt<["b"], weighted>
!groups = !trec.tensor_dict<["x", "y"], [3, 3], f32>
!one = !trec.row<1, fp32, #trec.row_layout<header = none>>
!two = !trec.row<2, fp32, #trec.row_layout<header = none>>
trec.table @s : !trec.table<3x1, fp32, #trec.row_layout<header = none>>
trec.table @t : !trec.table<2x2, fp32, #trec.row_layout<header = none>>
)";

static constexpr char imported[] = R"(
!keyed = !trec.keyed_tensor<["a"], [1], f32>
!keyed1 = !trec.keyed_tensor<["b"], [2], f32>
func.func @forward(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
  %i = trec.feature %kjt "a" : !kjt
  %ci = trec.check_bounds warning %i in @s
  %ri = trec.lookup @s[%ci] : <!one>
  %vi = trec.dequantize %ri : <!one>
  %a = trec.pool sum %vi : <!trec.dequantized<1>>
  %keyed = trec.keyed_tensor %a : (tensor<?x1xf32>) -> !keyed
  %j = trec.feature %kjt1 "b" : !kjt1
  %cj = trec.check_bounds warning %j in @t
  %rj = trec.lookup @t[%cj] : <!two>
  %vj = trec.dequantize %rj : <!two>
  %w = trec.sample_weights %kjt1 "b" : !kjt1
  %wj = trec.weight %vj by %w : <!trec.dequantized<2>>
  %b = trec.pool sum %wj : <!trec.dequantized<2>>
  %keyed1 = trec.keyed_tensor %b : (tensor<?x2xf32>) -> !keyed1
  %out = trec.regroup %keyed, %keyed1 [["b", "a"], ["a", "b"]]
      : (!keyed, !keyed1) -> !groups
  return %out : !groups
}
)";

static constexpr char grouped[] = R"(
func.func @forward(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
  %0 = trec.empty : !groups
  %1 = trec.embedding_bag_group sum weighted %kjt, %kjt1 into %0
      [#trec.bag<@t, "b", 0, batch = 1>,
       #trec.bag<@t, "b", 1, batch = 1, output = 1, bad_ids = repeated>]
      rows !two bounds warning : !kjt, !kjt1, !groups
  %2 = trec.embedding_bag_group sum %kjt, %kjt1 into %1
      [#trec.bag<@s, "a", 2>,
       #trec.bag<@s, "a", 0, output = 1, bad_ids = repeated>]
      rows !one bounds warning : !kjt, !kjt1, !groups
  return %2 : !groups
}
)";

namespace {

class ReferenceRegroupTest : public ::testing::TestWithParam<const char *> {
protected:
  ReferenceRegroupTest() : runner(std::string(types) + GetParam()) {
    runner.bind("s", toBytes<float>({1, 10, 100}), 3);
    runner.bind("t", toBytes<float>({2, 3, 20, 30}), 2);
  }

  llvm::Expected<Outputs> run(std::vector<Batch> batches) {
    return interpret(runner.getModule(), batches, runner.getTables());
  }
  std::string errorOf(std::vector<Batch> batches) {
    auto outputs = run(std::move(batches));
    return outputs ? "" : llvm::toString(outputs.takeError());
  }

  Runner runner;
  Batch first{2, {"a"}, {1, 2, 0}, {2, 1}, {}};
  Batch second{2, {"b"}, {1, 0}, {1, 1}, {0.5f, 2.0f}};
};

} // namespace

TEST_P(ReferenceRegroupTest, WritesEachGroup) {
  auto outputs = run({first, second});
  ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
  ASSERT_EQ(outputs->tensors.size(), 2u);
  EXPECT_EQ(outputs->tensors[0].key, "x");
  EXPECT_EQ(fromBytes<float>(outputs->tensors[0].bytes),
            (Floats{10, 15, 110, 4, 6, 1}));
  EXPECT_EQ(outputs->tensors[1].key, "y");
  EXPECT_EQ(fromBytes<float>(outputs->tensors[1].bytes),
            (Floats{110, 10, 15, 1, 4, 6}));
  EXPECT_TRUE(outputs->badIds.empty());
}

TEST_P(ReferenceRegroupTest, CountsBadIdsOnce) {
  second.values[0] = 7;
  auto outputs = run({first, second});
  ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
  ASSERT_EQ(outputs->badIds.size(), 1u);
  EXPECT_EQ(outputs->badIds[0].feature, "b");
  EXPECT_EQ(outputs->badIds[0].id, 7);
}

TEST_P(ReferenceRegroupTest, RefusesWrongBatches) {
  EXPECT_EQ(errorOf({first}), "expected 2 batches, got 1");
  Batch small{1, {"b"}, {1}, {1}, {1.0f}};
  EXPECT_EQ(errorOf({first, small}),
            "expected batches of one size, got 2 and 1 samples");
  second.weights.pop_back();
  EXPECT_EQ(errorOf({first, second}), "expected 2 weights, one per id, got 1");
}

INSTANTIATE_TEST_SUITE_P(Layers, ReferenceRegroupTest,
                         ::testing::Values(imported, grouped));
