//===- FixedLengthsTest.cpp - What is promised of bags --------------------===//
//
// What the interpreter says of a batch that breaks a promise, in the import
// layer and in groups, and that batches made for a model keep it.
//
//===----------------------------------------------------------------------===//

#include "ReferenceSupport.h"

#include "trec/Bench/BenchBatch.h"
#include "trec/Reference/RandomInputs.h"

using namespace mlir;
using namespace mlir::trec;

/// Of "a" two ids a bag, of "b" any number.
static const char imported[] = R"(
  trec.table @t : !trec.table<5x2, fp8, #trec.row_layout<header = none>>
  trec.parameter @p : tensor<7xf32>
  !kjt = !trec.kjt<["a", "b"]>
  !keyed = !trec.keyed_tensor<["x", "y"], [2, 2], f32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %a = trec.feature %kjt "a" length 2 : !kjt
    %x = trec.embedding_bag sum @t[%a] position_weights @p bounds warning : tensor<?x2xf32>
    %b = trec.feature %kjt "b" : !kjt
    %y = trec.embedding_bag sum @t[%b] bounds warning : tensor<?x2xf32>
    %out = trec.keyed_tensor %x, %y : (tensor<?x2xf32>, tensor<?x2xf32>) -> !keyed
    return %out : !keyed
  })";

static const char grouped[] = R"(
  #layout = #trec.row_layout<header = none>
  trec.table @t : !trec.table<5x2, fp8, #layout>
  !kjt = !trec.kjt<["a", "b"]>
  !keyed = !trec.keyed_tensor<["x", "y"], [2, 2], f32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %empty = trec.empty : !keyed
    %out = trec.embedding_bag_group sum %kjt into %empty
      [#trec.bag<@t, "a", 0, length = 2>, #trec.bag<@t, "b", 2>]
      rows !trec.row<2, fp8, #layout> bounds warning : !kjt, !keyed
    return %out : !keyed
  })";

static const char sequences[] = R"(
  #layout = #trec.row_layout<header = none>
  trec.table @t : !trec.table<5x2, fp8, #layout>
  !kjt = !trec.kjt<["a", "b"]>
  !dict = !trec.jagged_dict<["a", "b"], [2, 2], f32>
  func.func @forward(%kjt: !kjt) -> !dict {
    %empty = trec.empty : !dict
    %out = trec.embedding_group %kjt into %empty
      [#trec.bag<@t, "a", 0, length = 2>, #trec.bag<@t, "b", 1>]
      rows !trec.row<2, fp8, #layout> bounds warning : !kjt, !dict
    return %out : !dict
  })";

static Batch makeBatch(std::vector<int64_t> lengths) {
  Batch batch{2, {"a", "b"}, {}, std::move(lengths), {}};
  for (int64_t length : batch.lengths)
    batch.values.insert(batch.values.end(), length, 1);
  return batch;
}

TEST(FixedLengthsTest, TheInterpreterHoldsBatchesToThem) {
  for (const char *text : {imported, grouped, sequences}) {
    Runner runner(text);
    RandomTables tables(runner.getModule(), 1);
    auto errorOf = [&](std::vector<int64_t> lengths) {
      Batch batch = makeBatch(std::move(lengths));
      auto outputs = interpret(runner.getModule(), batch, tables.getTables());
      return outputs ? "" : llvm::toString(outputs.takeError());
    };
    EXPECT_EQ(errorOf({2, 2, 3, 0}), "");
    EXPECT_EQ(errorOf({2, 3, 0, 0}),
              "expected bags of 2 ids, got 3 ids of feature \"a\", sample 1");
    EXPECT_EQ(errorOf({0, 2, 0, 0}),
              "expected bags of 2 ids, got 0 ids of feature \"a\", sample 0");
  }
}

TEST(FixedLengthsTest, RandomBatchesKeepThem) {
  for (const char *text : {imported, grouped, sequences}) {
    Runner runner(text);
    RandomTables tables(runner.getModule(), 1);
    BagLimits limits = findBagLimits(runner.getModule()).lookup("a");
    EXPECT_EQ(limits.least, 2);
    EXPECT_EQ(limits.most, 2);
    EXPECT_FALSE(findBagLimits(runner.getModule()).contains("b"));
    EXPECT_TRUE(findBagLimits(runner.getModule(), 1).empty());
    BatchShape shape;
    shape.batchSize = 100;
    std::vector<Batch> batches =
        makeRandomBatches(runner.getModule(), tables.getTables(), shape, 1);
    auto lengths = ArrayRef(batches.front().lengths);
    EXPECT_TRUE(llvm::all_of(lengths.take_front(100),
                             [](int64_t length) { return length == 2; }));
    EXPECT_FALSE(llvm::all_equal(lengths.drop_front(100)));
  }
}

TEST(FixedLengthsTest, BatchesOfBenchmarksKeepThem) {
  Runner runner(imported);
  RandomTables tables(runner.getModule(), 1);
  BenchLoad load;
  load.lengths = makeFixedLengths({1, 11});
  BatchMaker maker(runner.getModule(), tables.getTables(), load, 1);
  EXPECT_EQ(maker.make().front().lengths, std::vector<int64_t>({2, 11}));
}
