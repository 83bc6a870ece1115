//===- ModelSpec.cpp - Reads the JSON model spec --------------------------===//
//
// The fields one by one: types, ranges and defaults. What one field says about
// another is in ResolveSpec.cpp.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/ModelSpec.h"

#include "ResolveSpec.h"
#include "trec/Import/JsonFields.h"
#include "trec/Runtime/KernelABI.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir::trec;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
namespace json = llvm::json;

/// The version of the spec that is read here.
static constexpr int64_t specVersion = 1;
/// With these, rows * bytes per row stays far below 2^63.
static constexpr int64_t maxRows = int64_t(1) << 36;
static constexpr int64_t maxDim = int64_t(1) << 24;
static constexpr int64_t maxAlignment = int64_t(1) << 16;
static constexpr int64_t maxLength = std::numeric_limits<int32_t>::max();
/// TorchRec's default for quantized modules.
static constexpr int64_t defaultAlignment = 16;

/// Rows of floats are read element by element, so no row may start inside one.
static void checkAlignment(const TableSpec &table, const JsonFields &fields,
                           FirstError &error) {
  int64_t elementBytes = std::max<int64_t>(1, getBits(table.weights) / 8);
  int64_t rowBytes =
      llvm::alignTo(table.dim * elementBytes, table.rowAlignment);
  if (rowBytes % elementBytes == 0)
    return;
  error.report(fields.at("row_alignment"),
               "expected rows of a multiple of " + Twine(elementBytes) +
                   " bytes for " + stringifyWeightsType(table.weights) +
                   ", got " + Twine(rowBytes) + " with alignment " +
                   Twine(table.rowAlignment) + "; use a multiple of " +
                   Twine(elementBytes));
}

/// The map of a table.
static RemapSpec readRemap(const json::Value &value, std::string place,
                           StringRef table, FirstError &error) {
  JsonFields fields(value, std::move(place), error);
  fields.refuseUnknown({"name", "kind", "length", "num_ids"});
  RemapSpec remap;
  remap.name =
      fields.has("name") ? fields.readString("name") : ("remap." + table).str();
  // In the order of MapKind's codes.
  if (fields.has("kind"))
    remap.kind =
        MapKind(fields.readChoice("kind", {"array", "hash_table", "sorted"}));
  remap.length = fields.readIntegerOrNull("length", {0, maxRows});
  if (!fields.has("num_ids"))
    return remap;
  if (remap.kind != MapKind::hash_table)
    error.report(fields.at("num_ids"),
                 "only a map of kind \"hash_table\" has it; remove the field");
  remap.numIds = fields.readInteger("num_ids", {0, MapAttr::kAllIds});
  return remap;
}

/// Weights by position, as a FeatureProcessedEmbeddingBagCollection has them.
static PositionWeightsSpec readPositionWeights(const json::Value &value,
                                               std::string place,
                                               FirstError &error) {
  JsonFields fields(value, std::move(place), error);
  fields.refuseUnknown({"feature", "name", "length"});
  PositionWeightsSpec weights;
  weights.feature = fields.readString("feature");
  weights.name = fields.has("name") ? fields.readString("name")
                                    : "position_weights." + weights.feature;
  weights.length = fields.readInteger("length", {0, maxRows});
  return weights;
}

static FixedLengthSpec readFixedLength(const json::Value &value,
                                       std::string place, FirstError &error) {
  JsonFields fields(value, std::move(place), error);
  fields.refuseUnknown({"feature", "length"});
  return {fields.readString("feature"),
          fields.readInteger("length", {0, maxLength})};
}

static TableSpec readTable(const json::Value &value, std::string place,
                           FirstError &error) {
  JsonFields fields(value, std::move(place), error);
  fields.refuseUnknown({"name", "num_embeddings", "embedding_dim", "dtype",
                        "row_alignment", "pooling", "features", "remap"});
  TableSpec table;
  table.name = fields.readString("name");
  table.rows = fields.readIntegerOrNull("num_embeddings", {0, maxRows});
  table.dim = fields.readInteger("embedding_dim", {1, maxDim});
  // In the order of WeightsType's codes.
  table.weights = WeightsType(fields.readChoice(
      "dtype", {"fp32", "fp16", "int8", "int4", "int2", "bf16", "fp8"}));
  table.rowAlignment =
      fields.has("row_alignment")
          ? fields.readInteger("row_alignment", {1, maxAlignment})
          : defaultAlignment;
  if (fields.has("pooling"))
    table.pooling = Pooling(fields.readChoice("pooling", {"sum", "mean"}));
  table.features = fields.readStrings("features");
  if (const json::Value *remap = fields.get("remap"))
    table.remap = readRemap(*remap, fields.at("remap"), table.name, error);
  if (!error)
    checkAlignment(table, fields, error);
  return table;
}

/// An output as the JSON names it; ResolveSpec.cpp looks the table up.
static NamedOutput readOutput(const json::Value &value, std::string place,
                              FirstError &error) {
  JsonFields fields(value, std::move(place), error);
  fields.refuseUnknown({"key", "table", "feature"});
  return {fields.readString("key"), fields.readString("table"),
          fields.readString("feature")};
}

template <typename T>
static std::vector<T>
readObjects(JsonFields &fields, StringRef field, FirstError &error,
            T (*read)(const json::Value &, std::string, FirstError &)) {
  std::vector<T> result;
  if (const json::Array *array = fields.readArray(field))
    for (const auto &[index, value] : llvm::enumerate(*array))
      result.push_back(
          read(value, (field + "[" + Twine(index) + "]").str(), error));
  return result;
}

static void readOptions(JsonFields &fields, ModelSpec &spec) {
  spec.name = fields.has("name") ? fields.readString("name") : "model";
  if (fields.has("output_dtype"))
    spec.outputType = OutputType(fields.readChoice(
        "output_dtype", {"float32", "float16", "bfloat16", "uint8"}));
  if (fields.has("bounds_check"))
    // The codes of BoundsPolicy start at 1.
    spec.boundsCheck =
        BoundsPolicy(1 + fields.readChoice("bounds_check", {"fatal", "warning",
                                                            "ignore", "none"}));
  if (fields.has("weights"))
    spec.weights = fields.readString("weights");
}

/// What an EmbeddingCollection cannot have: pooling, and weights.
static void refusePooling(const json::Value &document,
                          const CollectionSpec &spec, FirstError &error) {
  constexpr char kind[] = "an embedding_collection has no ";
  if (spec.weighted)
    error.report("weighted", Twine(kind) + "weights; remove the field");
  if (!spec.positionWeights.empty())
    error.report("position_weights", Twine(kind) + "weights; remove the field");
  const json::Object *object = document.getAsObject();
  const json::Array *tables = object ? object->getArray("tables") : nullptr;
  if (!tables)
    return;
  for (const auto &[index, table] : llvm::enumerate(*tables))
    if (table.getAsObject() && table.getAsObject()->get("pooling"))
      error.report("tables[" + Twine(index) + "].pooling",
                   Twine(kind) + "pooling; remove the field");
}

/// The fields of a collection, which are those of the document where it is the
/// only one.
static CollectionSpec readCollection(const json::Value &value, bool isPooled,
                                     FirstError &error) {
  JsonFields fields(value, "", error);
  CollectionSpec spec;
  spec.isPooled = isPooled;
  if (fields.has("batch"))
    spec.batch = fields.readInteger("batch", {0, TREC_MAX_BATCHES - 1});
  if (fields.has("weighted"))
    spec.weighted = fields.readBool("weighted");
  spec.tables = readObjects(fields, "tables", error, readTable);
  if (fields.has("position_weights"))
    spec.positionWeights =
        readObjects(fields, "position_weights", error, readPositionWeights);
  if (fields.has("fixed_lengths"))
    spec.fixedLengths =
        readObjects(fields, "fixed_lengths", error, readFixedLength);
  if (!isPooled)
    refusePooling(value, spec, error);
  if (fields.has("features"))
    spec.features = fields.readStrings("features");
  std::optional<std::vector<NamedOutput>> outputs;
  if (fields.has("outputs"))
    outputs = readObjects(fields, "outputs", error, readOutput);
  // Cross-checks of fields that were not read would mislead.
  if (!error)
    resolveCollection(spec, fields.has("features"), outputs, error);
  return spec;
}

static GroupSpec readGroup(const json::Value &value, std::string place,
                           FirstError &error) {
  JsonFields fields(value, std::move(place), error);
  fields.refuseUnknown({"key", "keys"});
  return {fields.readString("key"), fields.readStrings("keys")};
}

/// Several collections and what becomes of their outputs.
static void readRegroup(JsonFields &fields, ModelSpec &spec,
                        FirstError &error) {
  fields.refuseUnknown({"trec_spec", "kind", "name", "output_dtype",
                        "bounds_check", "collections", "groups", "weights"});
  spec.groups = readObjects(fields, "groups", error, readGroup);
  const json::Array *collections = fields.readArray("collections");
  if (!collections)
    return;
  for (const auto &[index, value] : llvm::enumerate(*collections)) {
    error.setScope("collections[" + std::to_string(index) + "].");
    JsonFields(value, "", error)
        .refuseUnknown({"batch", "features", "weighted", "position_weights",
                        "fixed_lengths", "tables", "outputs"});
    spec.collections.push_back(readCollection(value, /*isPooled=*/true, error));
    error.setScope("");
  }
  if (!error)
    resolveRegroup(spec, error);
}

Expected<ModelSpec> mlir::trec::parseModelSpec(StringRef text) {
  Expected<json::Value> document = json::parse(text);
  if (!document)
    return llvm::createStringError("not JSON: " +
                                   llvm::toString(document.takeError()));
  enum Kind { bags, sequence, regroup };
  FirstError error;
  JsonFields fields(*document, "", error);
  auto kind = Kind(fields.readChoice("kind", {"embedding_bag_collection",
                                              "embedding_collection",
                                              "regrouped_collections"}));
  if (kind != regroup)
    fields.refuseUnknown({"trec_spec", "kind", "name", "features", "weighted",
                          "position_weights", "fixed_lengths", "output_dtype",
                          "bounds_check", "tables", "outputs", "weights"});
  fields.readInteger("trec_spec", {specVersion, specVersion});
  ModelSpec spec;
  readOptions(fields, spec);
  if (kind == regroup)
    readRegroup(fields, spec, error);
  else
    spec.collections.push_back(readCollection(*document, kind == bags, error));
  if (spec.outputType == OutputType::uint8)
    for (const CollectionSpec &collection : spec.collections)
      checkStoredRows(collection, error);
  checkName("name", spec.name, error);
  if (error)
    return error.take();
  return spec;
}
