//===- ImportSpecErrorsTest.cpp - Specs that are wrong
//---------------------===//
//
// Each error of parseModelSpec, by what it says. A case is a spec that is right
// but for one replaced piece.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/ModelSpec.h"

#include "gtest/gtest.h"

using namespace mlir::trec;

static constexpr char rightSpec[] = R"({
  "trec_spec": 1,
  "kind": "embedding_bag_collection",
  "name": "m",
  "features": ["a", "b"],
  "weighted": false,
  "output_dtype": "float32",
  "bounds_check": "warning",
  "tables": [
    {"name": "t", "num_embeddings": 8, "embedding_dim": 4, "dtype": "int8",
     "row_alignment": 16, "pooling": "sum", "features": ["a", "b"]},
    {"name": "u", "num_embeddings": 8, "embedding_dim": 3, "dtype": "fp32",
     "features": ["a"]}],
  "outputs": [{"key": "1", "table": "t", "feature": "a"},
              {"key": "2", "table": "t", "feature": "b"},
              {"key": "3", "table": "u", "feature": "a"}],
  "weights": "w.safetensors"
})";

/// The error of the right spec with `from` replaced, empty where there is none.
static std::string errorOf(const std::string &from, const std::string &to) {
  std::string text = rightSpec;
  size_t position = text.find(from);
  EXPECT_NE(position, std::string::npos) << from;
  auto spec = parseModelSpec(text.replace(position, from.size(), to));
  return spec ? "" : llvm::toString(spec.takeError());
}

TEST(ImportSpecErrorsTest, AcceptsTheRightSpec) {
  EXPECT_EQ(errorOf("float32", "float16"), "");
}

TEST(ImportSpecErrorsTest, Documents) {
  EXPECT_EQ(errorOf("{\n", "").substr(0, 9), "not JSON:");
  auto list = parseModelSpec("[]");
  EXPECT_EQ(llvm::toString(list.takeError()),
            "document: expected an object, got an array");
  EXPECT_EQ(errorOf(R"("trec_spec": 1)", R"("trec_spec": 2)"),
            "trec_spec: expected 1, got 2");
  EXPECT_EQ(errorOf(R"("trec_spec": 1,)", ""),
            "trec_spec: expected 1, got nothing");
  EXPECT_EQ(errorOf("embedding_bag_collection", "linear"),
            "kind: expected one of \"embedding_bag_collection\", "
            "\"embedding_collection\", \"regrouped_collections\", got "
            "\"linear\"");
  EXPECT_EQ(errorOf(R"("name": "m")", R"("nome": "m")"),
            "nome: unknown field, expected one of trec_spec, kind, name, "
            "features, weighted, position_weights, fixed_lengths, "
            "output_dtype, bounds_check, tables, outputs, weights");
}

TEST(ImportSpecErrorsTest, TypesOfFields) {
  EXPECT_EQ(errorOf(R"("weighted": false)", R"("weighted": 0)"),
            "weighted: expected true or false, got 0");
  EXPECT_EQ(errorOf(R"("float32")", R"("float64")"),
            "output_dtype: expected one of \"float32\", \"float16\", "
            "\"bfloat16\", \"uint8\", got \"float64\"");
  EXPECT_EQ(errorOf(R"("warning")", "null"),
            "bounds_check: expected one of \"fatal\", \"warning\", "
            "\"ignore\", \"none\", got null");
  EXPECT_EQ(errorOf(R"("w.safetensors")", "{}"),
            "weights: expected a string, got an object");
  EXPECT_EQ(errorOf(R"("features": ["a", "b"],
  "w)",
                    R"("features": "a",
  "w)"),
            "features: expected an array, got \"a\"");
  EXPECT_EQ(errorOf(R"("features": ["a", "b"],
  "w)",
                    R"("features": ["a", 1],
  "w)"),
            "features[1]: expected a string, got 1");
  EXPECT_EQ(errorOf(R"({"key": "1",)", R"(1, {"key": "1",)"),
            "outputs[0]: expected an object, got 1");
  EXPECT_EQ(errorOf(R"("key": "1")", R"("kay": "1")"),
            "outputs[0].kay: unknown field, expected one of key, table, "
            "feature");
}

TEST(ImportSpecErrorsTest, FieldsOfTables) {
  EXPECT_EQ(errorOf("embedding_dim", "embeding_dim"),
            "tables[0].embeding_dim: unknown field, expected one of name, "
            "num_embeddings, embedding_dim, dtype, row_alignment, pooling, "
            "features, remap");
  EXPECT_EQ(errorOf(R"("num_embeddings": 8)", R"("num_embeddings": -1)"),
            "tables[0].num_embeddings: expected an integer from 0 to "
            "68719476736, got -1");
  EXPECT_EQ(errorOf(R"("num_embeddings": 8,)", ""),
            "tables[0].num_embeddings: expected an integer from 0 to "
            "68719476736, got nothing");
  EXPECT_EQ(errorOf(R"("embedding_dim": 4)", R"("embedding_dim": 0)"),
            "tables[0].embedding_dim: expected an integer from 1 to 16777216, "
            "got 0");
  EXPECT_EQ(errorOf(R"("embedding_dim": 4)", R"("embedding_dim": 4.5)"),
            "tables[0].embedding_dim: expected an integer from 1 to 16777216, "
            "got 4.5");
  EXPECT_EQ(errorOf(R"("int8")", R"("int7")"),
            "tables[0].dtype: expected one of \"fp32\", \"fp16\", \"int8\", "
            "\"int4\", \"int2\", \"bf16\", \"fp8\", got \"int7\"");
  EXPECT_EQ(errorOf(R"("row_alignment": 16)", R"("row_alignment": 0)"),
            "tables[0].row_alignment: expected an integer from 1 to 65536, "
            "got 0");
  EXPECT_EQ(errorOf(R"("sum")", R"("max")"),
            "tables[0].pooling: expected one of \"sum\", \"mean\", got "
            "\"max\"");
  EXPECT_EQ(
      errorOf(R"("dtype": "fp32")", R"("row_alignment": 7, "dtype": "fp32")"),
      "tables[1].row_alignment: expected rows of a multiple of 4 bytes "
      "for fp32, got 14 with alignment 7; use a multiple of 4");
}

TEST(ImportSpecErrorsTest, Names) {
  EXPECT_EQ(errorOf(R"("name": "m")", R"("name": "")"),
            "name: expected a name that is not empty");
  EXPECT_EQ(errorOf(R"("name": "t")", R"("name": "")"),
            "tables[0].name: expected a name that is not empty");
  EXPECT_EQ(errorOf(R"("name": "t")", R"("name": "t\u0000")"),
            "tables[0].name: expected a name without NUL, got \"t\\u0000\"");
  EXPECT_EQ(
      errorOf(R"("features": ["a", "b"]},)", R"("features": ["a", ""]},)"),
      "tables[0].features[1]: expected a name that is not empty");
  EXPECT_EQ(errorOf(R"("key": "2")", R"("key": "")"),
            "outputs[1].key: expected a name that is not empty");
  EXPECT_EQ(errorOf(R"("name": "t")", R"("name": "__metadata__")"),
            "tables[0].name: \"__metadata__\" cannot name a table: safetensors "
            "files reserve it; rename the table");
  EXPECT_EQ(errorOf(R"("name": "t")", R"("name": "forward")"),
            "tables[0].name: \"forward\" cannot name a table: the model's "
            "function has this name; rename the table");
  EXPECT_EQ(errorOf(R"("name": "u")", R"("name": "t")"),
            "tables[1].name: \"t\" is also the name of tables[0]; rename one "
            "of them");
}

TEST(ImportSpecErrorsTest, Tables) {
  auto none = parseModelSpec(R"({"trec_spec": 1, "tables": [],
                                 "kind": "embedding_bag_collection"})");
  EXPECT_EQ(llvm::toString(none.takeError()),
            "tables: expected at least one table, got none");
  EXPECT_EQ(errorOf(R"("features": ["a"]})", R"("features": []})"),
            "tables[1].features: expected at least one feature, got none; "
            "remove table \"u\" if nothing uses it");
}

/// The first list of features is that of the model.
static std::string errorOfFeatures(const char *features) {
  return errorOf("\"features\": [\"a\", \"b\"],\n  \"w",
                 std::string("\"features\": ") + features + ",\n  \"w");
}

TEST(ImportSpecErrorsTest, Features) {
  EXPECT_EQ(errorOfFeatures(R"(["a", "b", "c"])"),
            "features[2]: \"c\" is a feature of no table; remove it or add it "
            "to the features of a table");
  EXPECT_EQ(errorOfFeatures(R"(["a"])"),
            "features: expected all features of the tables, but \"b\" of "
            "table \"t\" is missing; add it");
  EXPECT_EQ(errorOfFeatures(R"(["a", "b", "a"])"),
            "features[2]: \"a\" is also features[0]; list each feature once");
}

TEST(ImportSpecErrorsTest, Outputs) {
  EXPECT_EQ(errorOf(R"("table": "u")", R"("table": "v")"),
            "outputs[2].table: \"v\" is no table of this model; use the name "
            "of one of \"tables\"");
  EXPECT_EQ(errorOf(R"("table": "u", "feature": "a")",
                    R"("table": "u", "feature": "b")"),
            "outputs[2].feature: table \"u\" has no feature \"b\"; use one of "
            "its \"features\"");
  EXPECT_EQ(errorOf(R"("table": "u", "feature": "a")",
                    R"("table": "t", "feature": "a")"),
            "outputs[2]: feature \"a\" of table \"t\" is listed more often "
            "than the table has it; remove this output");
  EXPECT_EQ(errorOf(R"({"key": "1", "table": "t", "feature": "a"},)", ""),
            "outputs: expected every feature of every table, but \"a\" of "
            "table \"t\" is missing; add it");
}

TEST(ImportSpecErrorsTest, StoredRowsAsOutputs) {
  EXPECT_EQ(errorOf("float32", "uint8"),
            "output_dtype: \"uint8\" gives out stored rows, which bags pool; "
            "use \"float32\", \"float16\" or \"bfloat16\"");
  auto spec = parseModelSpec(R"({
    "trec_spec": 1, "kind": "embedding_collection", "output_dtype": "uint8",
    "tables": [{"name": "t", "num_embeddings": 8, "embedding_dim": 4,
                "dtype": "int8", "features": ["a"]},
               {"name": "u", "num_embeddings": 8, "embedding_dim": 4,
                "dtype": "int4", "features": ["b"]}]})");
  EXPECT_EQ(llvm::toString(spec.takeError()),
            "output_dtype: \"uint8\" gives out stored rows of int8, but table "
            "\"u\" has int4; use \"float32\", \"float16\" or \"bfloat16\"");
}
