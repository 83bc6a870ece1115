//===- ImportSpecParametersTest.cpp - Kinds, weights by position, maps ----===//
//
// Specs of models without pooling, with weights by position and with pruned
// tables: what they become, and each error, from a spec that is right but for
// one replaced piece.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/ModelSpec.h"

#include "gtest/gtest.h"

using namespace mlir::trec;

static constexpr char bags[] = R"({
  "trec_spec": 1, "kind": "embedding_bag_collection", "weighted": false,
  "position_weights": [{"feature": "a", "length": 20},
                       {"feature": "b", "name": "decay", "length": 0}],
  "tables": [
    {"name": "t", "num_embeddings": 8, "embedding_dim": 4, "dtype": "bf16",
     "pooling": "mean", "features": ["a"], "remap": {"length": 100}},
    {"name": "u", "num_embeddings": 8, "embedding_dim": 3, "dtype": "fp8",
     "features": ["a", "b"], "remap": {"name": "u_map", "length": 0}}]
})";

static constexpr char sequences[] = R"({
  "trec_spec": 1, "kind": "embedding_collection",
  "tables": [
    {"name": "t", "num_embeddings": 8, "embedding_dim": 4, "dtype": "int8",
     "features": ["a", "b"]},
    {"name": "u", "num_embeddings": 8, "embedding_dim": 4, "dtype": "int4",
     "features": ["c"]},
    {"name": "v", "num_embeddings": 8, "embedding_dim": 4, "dtype": "int8",
     "features": ["a"], "remap": {"length": 9}}]
})";

static std::string errorOf(std::string text, const std::string &from,
                           const std::string &to) {
  size_t position = text.find(from);
  EXPECT_NE(position, std::string::npos) << from;
  auto spec = parseModelSpec(text.replace(position, from.size(), to));
  return spec ? "" : llvm::toString(spec.takeError());
}

TEST(ImportSpecParametersTest, ReadsPositionWeightsAndMaps) {
  auto spec = parseModelSpec(bags);
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_TRUE(spec->collections[0].isPooled);
  ASSERT_EQ(spec->collections[0].positionWeights.size(), 2u);
  EXPECT_EQ(spec->collections[0].positionWeights[0].feature, "a");
  EXPECT_EQ(spec->collections[0].positionWeights[0].name, "position_weights.a");
  EXPECT_EQ(spec->collections[0].positionWeights[0].length, 20);
  EXPECT_EQ(spec->collections[0].positionWeights[1].name, "decay");
  EXPECT_EQ(spec->collections[0].positionWeights[1].length, 0);
  EXPECT_EQ(spec->collections[0].tables[0].weights, WeightsType::bf16);
  EXPECT_EQ(spec->collections[0].tables[0].remap->name, "remap.t");
  EXPECT_EQ(spec->collections[0].tables[0].remap->length, 100);
  EXPECT_EQ(spec->collections[0].tables[1].weights, WeightsType::fp8);
  EXPECT_EQ(spec->collections[0].tables[1].remap->name, "u_map");
  EXPECT_EQ(spec->collections[0].tables[1].remap->length, 0);
}

TEST(ImportSpecParametersTest, GroupsOutputsWithoutPoolingByType) {
  auto spec = parseModelSpec(sequences);
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_FALSE(spec->collections[0].isPooled);
  EXPECT_FALSE(spec->collections[0].tables[0].remap.has_value());
  EXPECT_EQ(spec->collections[0].tables[1].name, "v");
  EXPECT_EQ(spec->collections[0].tables[1].remap->length, 9);
  std::vector<std::string> keys;
  for (const OutputSpec &output : spec->collections[0].outputs)
    keys.push_back(output.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"a@t", "b", "a@v", "c"}));
}

TEST(ImportSpecParametersTest, PutsPositionWeightsInTheOrderOfFeatures) {
  std::string text = bags;
  size_t end = text.find('{') + 1;
  auto spec = parseModelSpec(text.insert(end, R"("features": ["b", "a"],)"));
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_EQ(spec->collections[0].positionWeights[0].name, "decay");
  EXPECT_EQ(spec->collections[0].positionWeights[1].name, "position_weights.a");
}

TEST(ImportSpecParametersTest, NoPoolingInACollectionWithoutIt) {
  EXPECT_EQ(errorOf(sequences, R"("tables")", R"("weighted": true, "tables")"),
            "weighted: an embedding_collection has no weights; remove the "
            "field");
  EXPECT_EQ(errorOf(sequences, R"("tables")", R"("position_weights": [
              {"feature": "a", "length": 1}], "tables")"),
            "position_weights: an embedding_collection has no weights; remove "
            "the field");
  EXPECT_EQ(errorOf(sequences, R"("features": ["c"])",
                    R"("pooling": "sum", "features": ["c"])"),
            "tables[1].pooling: an embedding_collection has no pooling; remove "
            "the field");
}

TEST(ImportSpecParametersTest, FieldsOfPositionWeights) {
  EXPECT_EQ(errorOf(bags, R"("length": 20)", R"("lenght": 20)"),
            "position_weights[0].lenght: unknown field, expected one of "
            "feature, name, length");
  EXPECT_EQ(errorOf(bags, R"({"feature": "a", "length": 20})", "1"),
            "position_weights[0]: expected an object, got 1");
  EXPECT_EQ(errorOf(bags, R"("length": 20)", R"("length": -1)"),
            "position_weights[0].length: expected an integer from 0 to "
            "68719476736, got -1");
  EXPECT_EQ(errorOf(bags, R"("feature": "b",)", ""),
            "position_weights[1].feature: expected a string, got nothing");
  EXPECT_EQ(errorOf(bags, R"("decay")", "7"),
            "position_weights[1].name: expected a string, got 7");
}

TEST(ImportSpecParametersTest, FieldsOfMaps) {
  EXPECT_EQ(errorOf(bags, R"({"length": 100})", R"({"size": 100})"),
            "tables[0].remap.size: unknown field, expected one of name, "
            "kind, length, num_ids");
  EXPECT_EQ(errorOf(bags, R"({"length": 100})", "100"),
            "tables[0].remap: expected an object, got 100");
  EXPECT_EQ(errorOf(bags, R"({"length": 100})", "{}"),
            "tables[0].remap.length: expected an integer from 0 to "
            "68719476736, got nothing");
  EXPECT_EQ(errorOf(bags, R"({"length": 100})", R"({"kind": "tree"})"),
            "tables[0].remap.kind: expected one of \"array\", "
            "\"hash_table\", \"sorted\", "
            "got \"tree\"");
  EXPECT_EQ(
      errorOf(bags, R"({"length": 100})", R"({"length": 100, "num_ids": 3})"),
      "tables[0].remap.num_ids: only a map of kind \"hash_table\" has "
      "it; remove the field");
  EXPECT_EQ(errorOf(bags, R"({"length": 100})",
                    R"({"kind": "hash_table", "length": 9, "num_ids": -1})"),
            "tables[0].remap.num_ids: expected an integer from 0 to "
            "2147483648, got -1");
}

TEST(ImportSpecParametersTest, KindsOfMaps) {
  auto parse = [](const char *remap) {
    std::string text = bags;
    text.replace(text.find(R"({"length": 100})"), 15, remap);
    auto spec = parseModelSpec(text);
    EXPECT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
    return spec ? *spec->collections[0].tables[0].remap : RemapSpec();
  };
  RemapSpec array = parse(R"({"length": 100})");
  EXPECT_EQ(array.kind, MapKind::array);
  EXPECT_EQ(array.length, 100);
  RemapSpec table =
      parse(R"({"kind": "hash_table", "length": null, "num_ids": 7})");
  EXPECT_EQ(table.kind, MapKind::hash_table);
  EXPECT_EQ(table.length, std::nullopt);
  EXPECT_EQ(table.numIds, 7);
  RemapSpec sorted = parse(R"({"kind": "sorted", "length": 5})");
  EXPECT_EQ(sorted.kind, MapKind::sorted);
  EXPECT_EQ(sorted.numIds, MapAttr::kAllIds);
}

TEST(ImportSpecParametersTest, NamesOfTensors) {
  EXPECT_EQ(errorOf(bags, R"("decay")", R"("u")"),
            "position_weights[1].name: \"u\" is also the name of another "
            "tensor; rename one of them");
  EXPECT_EQ(errorOf(bags, R"("decay")", R"("position_weights.a")"),
            "position_weights[1].name: \"position_weights.a\" is also the name "
            "of another tensor; rename one of them");
  EXPECT_EQ(errorOf(bags, R"("u_map")", R"("decay")"),
            "tables[1].remap.name: \"decay\" is also the name of another "
            "tensor; rename one of them");
  EXPECT_EQ(errorOf(bags, R"("decay")", R"("")"),
            "position_weights[1].name: expected a name that is not empty");
  EXPECT_EQ(errorOf(bags, R"("u_map")", R"("a\u0000")"),
            "tables[1].remap.name: expected a name without NUL, got "
            "\"a\\u0000\"");
  EXPECT_EQ(errorOf(bags, R"("u_map")", R"("forward")"),
            "tables[1].remap.name: \"forward\" cannot name a table: the "
            "model's function has this name; rename the table");
}

TEST(ImportSpecParametersTest, FeaturesOfPositionWeights) {
  EXPECT_EQ(errorOf(bags, R"("feature": "b")", R"("feature": "c")"),
            "position_weights[1].feature: \"c\" is no feature of this model; "
            "use one of its \"features\"");
  EXPECT_EQ(errorOf(bags, R"("feature": "b")", R"("feature": "a")"),
            "position_weights[1].feature: \"a\" has position weights already; "
            "list each feature once");
  EXPECT_EQ(errorOf(bags, R"({"feature": "a", "length": 20},)", ""),
            "position_weights: expected weights of every feature, but \"a\" is "
            "missing; add it");
  EXPECT_EQ(errorOf(bags, R"("weighted": false)", R"("weighted": true)"),
            "weighted: expected false in a model with position_weights, which "
            "take the place of per-sample weights");
}
