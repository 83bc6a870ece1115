//===- ImportSpecRegroupTest.cpp - Specs of several collections -----------===//
//
// What parseModelSpec makes of collections and groups, and each error that it
// can have. A case is a spec that is right but for one replaced piece.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/ModelSpec.h"

#include "gtest/gtest.h"

using namespace mlir::trec;

static constexpr char rightSpec[] = R"({
  "trec_spec": 1,
  "kind": "regrouped_collections",
  "collections": [
    {"batch": 0,
     "tables": [{"name": "t", "num_embeddings": 8, "embedding_dim": 4,
                 "dtype": "int8", "features": ["a", "b"]}]},
    {"batch": 1, "weighted": true,
     "tables": [{"name": "u", "num_embeddings": 8, "embedding_dim": 3,
                 "dtype": "fp32", "features": ["c"]}]}],
  "groups": [{"key": "x", "keys": ["c", "a"]},
             {"key": "y", "keys": ["b", "c"]}]
})";

static llvm::Expected<ModelSpec> parseWith(const std::string &from,
                                           const std::string &to) {
  std::string text = rightSpec;
  size_t position = text.find(from);
  EXPECT_NE(position, std::string::npos) << from;
  return parseModelSpec(text.replace(position, from.size(), to));
}

static std::string errorOf(const std::string &from, const std::string &to) {
  auto spec = parseWith(from, to);
  return spec ? "" : llvm::toString(spec.takeError());
}

TEST(ImportSpecRegroupTest, CollectionsAndGroups) {
  auto spec = parseWith("{", "{");
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  ASSERT_EQ(spec->collections.size(), 2u);
  EXPECT_EQ(spec->collections[1].batch, 1u);
  EXPECT_TRUE(spec->collections[1].weighted);
  EXPECT_EQ(spec->collections[0].outputs[1].key, "b");
  ASSERT_EQ(spec->groups.size(), 2u);
  EXPECT_EQ(spec->groups[1].key, "y");
  EXPECT_EQ(spec->groups[0].keys, (std::vector<std::string>{"c", "a"}));
}

TEST(ImportSpecRegroupTest, OneBatchForBoth) {
  auto spec = parseWith("\"batch\": 1", "\"batch\": 0");
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_EQ(spec->collections[1].batch, 0u);
}

TEST(ImportSpecRegroupTest, FieldsOfACollection) {
  EXPECT_EQ(errorOf("\"name\": \"u\"", "\"name\": 7"),
            "collections[1].tables[0].name: expected a string, got 7");
  EXPECT_EQ(errorOf("\"batch\": 1", "\"batch\": 16"),
            "collections[1].batch: expected an integer from 0 to 15, got 16");
  EXPECT_EQ(errorOf("\"weighted\": true", "\"bounds_check\": \"fatal\""),
            "collections[1].bounds_check: unknown field, expected one of "
            "batch, features, weighted, position_weights, fixed_lengths, "
            "tables, outputs");
  EXPECT_EQ(errorOf("{\"batch\": 0,", "{\"features\": [\"a\"],"),
            "collections[0].features: expected all features of the tables, but "
            "\"b\" of table \"t\" is missing; add it");
}

TEST(ImportSpecRegroupTest, FieldsOfADocument) {
  EXPECT_EQ(errorOf("\"collections\"", "\"tables\": [], \"collections\""),
            "tables: unknown field, expected one of trec_spec, kind, name, "
            "output_dtype, bounds_check, collections, groups, weights");
  EXPECT_EQ(errorOf("regrouped_collections", "embedding_bag_collection"),
            "collections: unknown field, expected one of trec_spec, kind, "
            "name, features, weighted, position_weights, fixed_lengths, "
            "output_dtype, bounds_check, tables, outputs, weights");
  auto none = parseModelSpec(R"({"trec_spec": 1,
    "kind": "regrouped_collections", "collections": [], "groups": []})");
  EXPECT_EQ(llvm::toString(none.takeError()),
            "collections: expected at least one collection, got none");
}

TEST(ImportSpecRegroupTest, TensorNames) {
  EXPECT_EQ(errorOf("\"name\": \"u\"", "\"name\": \"t\""),
            "collections[1]: \"t\" is also the name of a tensor of "
            "collections[0]; rename one of them");
}

TEST(ImportSpecRegroupTest, Batches) {
  EXPECT_EQ(errorOf("\"batch\": 1", "\"batch\": 2"),
            "collections: expected a collection for each batch from 0 to 2, "
            "but batch 1 has none");
}

TEST(ImportSpecRegroupTest, Groups) {
  EXPECT_EQ(errorOf("\"keys\": [\"c\", \"a\"]", "\"keys\": []"),
            "groups[0].keys: expected at least one key, got none");
  EXPECT_EQ(errorOf("\"key\": \"y\"", "\"key\": \"x\""),
            "groups[1].key: \"x\" is also the key of groups[0]; rename one of "
            "them");
  EXPECT_EQ(errorOf("\"key\": \"x\"", "\"key\": \"\""),
            "groups[0].key: expected a name that is not empty");
  EXPECT_EQ(errorOf("{\"key\": \"x\"", "{\"name\": \"x\""),
            "groups[0].name: unknown field, expected one of key, keys");
}

TEST(ImportSpecRegroupTest, KeysOfGroups) {
  EXPECT_EQ(errorOf("[\"b\", \"c\"]", "[\"b\", \"d\"]"),
            "groups[1].keys[1]: \"d\" is the key of no output; use one of a "
            "collection");
  EXPECT_EQ(errorOf("[\"b\", \"c\"]", "[\"c\"]"),
            "collections[0]: output \"b\" is in no group; add it to one, or "
            "remove its feature from its table");
  EXPECT_EQ(errorOf("\"features\": [\"c\"]", "\"features\": [\"a\"]"),
            "groups[0].keys[0]: \"c\" is the key of no output; use one of a "
            "collection");
  EXPECT_EQ(errorOf("\"features\": [\"c\"]", "\"features\": [\"a\", \"c\"]"),
            "groups[0].keys[1]: \"a\" is the key of outputs of collections[0] "
            "and of collections[1]; give one of them another key");
}
