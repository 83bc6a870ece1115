//===- ImportSpecTest.cpp - Specs that are right
//---------------------------===//

#include "trec/Import/ModelSpec.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using namespace mlir::trec;

/// A spec with these tables (and what follows them), and its outputs as
/// `key=table.feature`.
static std::vector<std::string> listOutputs(const std::string &fields) {
  auto spec = parseModelSpec(
      R"({"trec_spec": 1, "kind": "embedding_bag_collection", "tables": [)" +
      fields + "}");
  if (!spec) {
    ADD_FAILURE() << llvm::toString(spec.takeError());
    return {};
  }
  std::vector<std::string> outputs;
  for (const OutputSpec &output : spec->collections[0].outputs)
    outputs.push_back(output.key + "=" +
                      spec->collections[0].tables[output.table].name + "." +
                      output.feature);
  return outputs;
}

static std::string table(const char *name, const char *features,
                         const char *pooling = "sum") {
  return llvm::formatv(R"({{"name": "{0}", "num_embeddings": 4, )"
                       R"("embedding_dim": 4, "dtype": "int8", )"
                       R"("pooling": "{1}", "features": [{2}]})",
                       name, pooling, features)
      .str();
}

using Names = std::vector<std::string>;

TEST(ImportSpecTest, FillsInDefaults) {
  auto spec = parseModelSpec(R"({
    "trec_spec": 1, "kind": "embedding_bag_collection",
    "tables": [{"name": "t", "num_embeddings": null, "embedding_dim": 3,
                "dtype": "int2", "features": ["b", "a"]}]})");
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_EQ(spec->name, "model");
  EXPECT_FALSE(spec->collections[0].weighted);
  EXPECT_EQ(spec->outputType, OutputType::float32);
  EXPECT_EQ(spec->boundsCheck, BoundsPolicy::warning);
  EXPECT_EQ(spec->collections[0].features, (Names{"b", "a"}));
  EXPECT_FALSE(spec->weights.has_value());
  EXPECT_FALSE(spec->collections[0].tables[0].rows.has_value());
  EXPECT_EQ(spec->collections[0].tables[0].rowAlignment, 16);
  EXPECT_EQ(spec->collections[0].tables[0].weights, WeightsType::int2);
  EXPECT_EQ(spec->collections[0].tables[0].pooling, Pooling::sum);
}

TEST(ImportSpecTest, ReadsEveryField) {
  auto spec = parseModelSpec(R"({
    "trec_spec": 1, "kind": "embedding_bag_collection", "name": "sparse",
    "features": ["a", "b"], "weighted": true, "output_dtype": "bfloat16",
    "bounds_check": "none", "weights": "w.safetensors",
    "tables": [{"name": "t", "num_embeddings": 7, "embedding_dim": 3,
                "dtype": "fp16", "row_alignment": 2, "pooling": "mean",
                "features": ["b", "a"]}],
    "outputs": [{"key": "x", "table": "t", "feature": "a"},
                {"key": "y", "table": "t", "feature": "b"}]})");
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  EXPECT_EQ(spec->name, "sparse");
  EXPECT_TRUE(spec->collections[0].weighted);
  EXPECT_EQ(spec->outputType, OutputType::bfloat16);
  EXPECT_EQ(spec->boundsCheck, BoundsPolicy::none);
  EXPECT_EQ(spec->collections[0].features, (Names{"a", "b"}));
  EXPECT_EQ(spec->weights, "w.safetensors");
  EXPECT_EQ(spec->collections[0].tables[0].rows, 7);
  EXPECT_EQ(spec->collections[0].tables[0].dim, 3);
  EXPECT_EQ(spec->collections[0].tables[0].rowAlignment, 2);
  EXPECT_EQ(spec->collections[0].tables[0].pooling, Pooling::mean);
  EXPECT_EQ(spec->collections[0].outputs[0].key, "x");
  EXPECT_EQ(spec->collections[0].outputs[1].feature, "b");
}

// TorchRec's order of outputs, seen in its modules.

TEST(ImportSpecTest, GroupsOutputsByPooling) {
  EXPECT_EQ(listOutputs(table("t0", R"("a")", "mean") + "," +
                        table("t1", R"("b")") + "," +
                        table("t2", R"("c")", "mean") + "," +
                        table("t3", R"("d")") + "]"),
            (Names{"a=t0.a", "c=t2.c", "b=t1.b", "d=t3.d"}));
}

// An archive knows tables in this order alone.

TEST(ImportSpecTest, TablesAndFeaturesFollowTheOutputs) {
  auto spec = parseModelSpec(
      R"({"trec_spec": 1, "kind": "embedding_bag_collection", "tables": [)" +
      table("t0", R"("a", "c")", "mean") + "," + table("t1", R"("b")") + "," +
      table("t2", R"("d", "a")", "mean") + "]}");
  ASSERT_TRUE(bool(spec)) << llvm::toString(spec.takeError());
  Names names;
  for (const TableSpec &table : spec->collections[0].tables)
    names.push_back(table.name);
  EXPECT_EQ(names, (Names{"t0", "t2", "t1"}));
  EXPECT_EQ(spec->collections[0].features, (Names{"a", "c", "d", "b"}));
  EXPECT_EQ(spec->collections[0].outputs[4].table, 2u);
}

TEST(ImportSpecTest, NamesSharedFeaturesWithTheirTable) {
  EXPECT_EQ(listOutputs(table("t0", R"("a", "b")") + "," +
                        table("t1", R"("a")", "mean") + "]"),
            (Names{"a@t0=t0.a", "b=t0.b", "a@t1=t1.a"}));
}

TEST(ImportSpecTest, RepeatsTheKeyOfAFeatureThatATableHasTwice) {
  EXPECT_EQ(listOutputs(table("t0", R"("a", "a")") + "]"),
            (Names{"a@t0=t0.a", "a@t0=t0.a"}));
}

TEST(ImportSpecTest, TakesGivenOutputsInTheirOrder) {
  EXPECT_EQ(listOutputs(table("t0", R"("a", "a", "b")") + R"(],
              "outputs": [{"key": "z", "table": "t0", "feature": "b"},
                          {"key": "z", "table": "t0", "feature": "a"},
                          {"key": "y", "table": "t0", "feature": "a"}])"),
            (Names{"z=t0.b", "z=t0.a", "y=t0.a"}));
}
