//===- ImportSpecLengthsTest.cpp - Specs with fixed lengths ---------------===//
//
// What parseModelSpec makes of `fixed_lengths`, and each error that it can have
// of them. A case is a spec that is right but for one replaced piece.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/ModelSpec.h"

#include "gtest/gtest.h"

using namespace mlir::trec;

static constexpr char bags[] = R"({
  "trec_spec": 1, "kind": "embedding_bag_collection",
  "fixed_lengths": [{"feature": "b", "length": 20},
                    {"feature": "a", "length": 0}],
  "position_weights": [{"feature": "a", "length": 5},
                       {"feature": "b", "length": 20},
                       {"feature": "c", "length": 7}],
  "tables": [{"name": "t", "num_embeddings": 8, "embedding_dim": 4,
              "dtype": "int8", "features": ["a", "b", "c"]}]
})";

static constexpr char sequences[] = R"({
  "trec_spec": 1, "kind": "embedding_collection",
  "fixed_lengths": [{"feature": "a", "length": 2147483647}],
  "tables": [{"name": "t", "num_embeddings": 8, "embedding_dim": 4,
              "dtype": "int8", "features": ["a"]}]
})";

static constexpr char regrouped[] = R"({
  "trec_spec": 1, "kind": "regrouped_collections",
  "collections": [
    {"batch": 0, "fixed_lengths": [{"feature": "a", "length": 3}],
     "tables": [{"name": "t", "num_embeddings": 8, "embedding_dim": 4,
                 "dtype": "int8", "features": ["a"]}],
     "outputs": [{"key": "x", "table": "t", "feature": "a"}]},
    {"batch": 0, "fixed_lengths": [{"feature": "a", "length": 3}],
     "tables": [{"name": "u", "num_embeddings": 8, "embedding_dim": 4,
                 "dtype": "int8", "features": ["b", "a"]}]}],
  "groups": [{"key": "g", "keys": ["x", "a", "b"]}]
})";

static llvm::Expected<ModelSpec>
parseWith(std::string text, const std::string &from, const std::string &to) {
  size_t position = text.rfind(from);
  EXPECT_NE(position, std::string::npos) << from;
  return parseModelSpec(text.replace(position, from.size(), to));
}

static std::string errorOf(const char *right, const std::string &from,
                           const std::string &to) {
  auto spec = parseWith(right, from, to);
  return spec ? "" : llvm::toString(spec.takeError());
}

TEST(ImportSpecLengthsTest, LengthsOfFeatures) {
  auto spec = parseModelSpec(bags);
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  const std::vector<FixedLengthSpec> &lengths =
      spec->collections[0].fixedLengths;
  ASSERT_EQ(lengths.size(), 2u);
  EXPECT_EQ(lengths[0].feature, "b");
  EXPECT_EQ(lengths[0].length, 20);
  EXPECT_EQ(lengths[1].feature, "a");
  EXPECT_EQ(lengths[1].length, 0);
}

TEST(ImportSpecLengthsTest, WithoutPooling) {
  auto spec = parseModelSpec(sequences);
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_EQ(spec->collections[0].fixedLengths[0].length, 2147483647);
}

TEST(ImportSpecLengthsTest, Fields) {
  EXPECT_EQ(errorOf(sequences, R"("length")", R"("len")"),
            "fixed_lengths[0].len: unknown field, expected one of feature, "
            "length");
  EXPECT_EQ(errorOf(sequences, "2147483647", "2147483648"),
            "fixed_lengths[0].length: expected an integer from 0 to "
            "2147483647, got 2147483648");
  EXPECT_EQ(errorOf(sequences, "2147483647", "-1"),
            "fixed_lengths[0].length: expected an integer from 0 to "
            "2147483647, got -1");
  EXPECT_EQ(errorOf(sequences, R"([{"feature": "a", "length": 2147483647}])",
                    R"({"a": 20})"),
            "fixed_lengths: expected an array, got an object");
}

TEST(ImportSpecLengthsTest, Features) {
  EXPECT_EQ(errorOf(bags, R"("feature": "a", "length": 0)",
                    R"("feature": "d", "length": 0)"),
            "fixed_lengths[1].feature: \"d\" is no feature of this model; use "
            "one of its \"features\"");
  EXPECT_EQ(errorOf(bags, R"("feature": "a", "length": 0)",
                    R"("feature": "b", "length": 0)"),
            "fixed_lengths[1].feature: \"b\" has a fixed length already; list "
            "each feature once");
}

TEST(ImportSpecLengthsTest, NoLongerThanWeightsByPosition) {
  EXPECT_EQ(errorOf(bags, R"("length": 0)", R"("length": 6)"),
            "fixed_lengths[1].length: expected at most 5, the position weights "
            "of \"a\", got 6");
}

TEST(ImportSpecLengthsTest, CollectionsOfOneBatch) {
  EXPECT_EQ(errorOf(regrouped, "[", "["), "");
  EXPECT_EQ(errorOf(regrouped, R"("length": 3)", R"("length": 4)"),
            "collections[1].fixed_lengths: feature \"a\" has the fixed length "
            "4, but the fixed length 3 in collections[0], which reads the same "
            "batch");
  EXPECT_EQ(errorOf(regrouped, R"({"feature": "a", "length": 3})", ""),
            "collections[1].fixed_lengths: feature \"a\" has no fixed length, "
            "but the fixed length 3 in collections[0], which reads the same "
            "batch");
  EXPECT_EQ(
      errorOf(regrouped,
              R"("batch": 0, "fixed_lengths": [{"feature": "a", "length": 3}])",
              R"("batch": 1, "fixed_lengths": [])"),
      "");
}
