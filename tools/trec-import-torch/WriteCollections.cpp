//===- WriteCollections.cpp - Model directories of collections ------------===//

#include "WriteCollections.h"

#include "trec/Import/AtomicFile.h"
#include "trec/Import/BuildModel.h"
#include "trec/Import/Safetensors.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::trec;
using namespace llvm;

namespace {

/// A collection that has become IR.
struct BuiltModel {
  std::string directory;
  OwningOpRef<ModuleOp> module;
  std::vector<Tensor> tensors;
};

} // namespace

/// The names that every importer gives maps and weights by position.
static std::string nameOfMap(const StoredTable &table) {
  return "remap." + table.name;
}
static std::string nameOf(const StoredPositionWeights &weights) {
  return "position_weights." + weights.feature;
}

static json::Object toJSON(const StoredTable &table) {
  json::Object object{{"name", table.name},
                      {"num_embeddings", table.rows},
                      {"embedding_dim", table.dim},
                      {"dtype", table.dtype},
                      {"row_alignment", table.rowAlignment},
                      {"features", json::Array(table.features)}};
  // A sequence has none.
  if (table.pooling != "none")
    object["pooling"] = table.pooling;
  if (table.map) {
    json::Object map{{"name", nameOfMap(table)},
                     {"kind", table.map->kind},
                     {"length", table.map->entries}};
    if (table.map->numIds)
      map["num_ids"] = *table.map->numIds;
    object["remap"] = std::move(map);
  }
  return object;
}

/// The spec as every importer writes it. The symbol is the last part of the
/// module's name, as in trec.export.
static std::string makeSpec(const Collection &collection) {
  json::Array tables, outputs, positionWeights;
  for (const StoredTable &table : collection.tables)
    tables.push_back(toJSON(table));
  for (const StoredOutput &output : collection.outputs)
    outputs.push_back(
        json::Object{{"key", output.key},
                     {"table", collection.tables[output.table].name},
                     {"feature", output.feature}});
  for (const StoredPositionWeights &weights : collection.positionWeights)
    positionWeights.push_back(
        json::Object{{"feature", weights.feature},
                     {"name", nameOf(weights)},
                     {"length", int64_t(weights.values.size())}});
  StringRef name = StringRef(collection.path).rsplit('.').second;
  if (name.empty())
    name = collection.path.empty() ? StringRef("model") : collection.path;
  json::Object spec{{"trec_spec", 1},
                    {"kind", collection.isPooled ? "embedding_bag_collection"
                                                 : "embedding_collection"},
                    {"name", name},
                    {"features", json::Array(collection.features)},
                    {"weighted", collection.weighted},
                    {"output_dtype", collection.outputType},
                    {"bounds_check", collection.boundsCheck},
                    {"tables", std::move(tables)},
                    {"outputs", std::move(outputs)}};
  if (!positionWeights.empty())
    spec["position_weights"] = std::move(positionWeights);
  return formatv("{0}", json::Value(std::move(spec))).str();
}

/// The rows of one table as a tensor of the weights file.
static Expected<Tensor> makeTensor(const StoredTable &table, TableOp op) {
  int64_t rowBytes = op.getType().getRowType().getRowBytes();
  int64_t bytes = table.rows * rowBytes;
  if (bytes > table.available)
    return createStringError("table '" + table.name + "': expected " +
                             Twine(bytes) + " bytes for " + Twine(table.rows) +
                             " rows, got " + Twine(table.available));
  return Tensor{table.name,
                "U8",
                {table.rows, rowBytes},
                ArrayRef(table.data, size_t(bytes))};
}

static Tensor makeTensor(const StoredPositionWeights &weights) {
  return {nameOf(weights),
          "F32",
          {int64_t(weights.values.size())},
          ArrayRef(reinterpret_cast<const uint8_t *>(weights.values.data()),
                   weights.values.size() * sizeof(float))};
}

/// The map of a table that has one.
static Tensor makeMapTensor(const StoredTable &table) {
  const StoredMap &map = *table.map;
  SmallVector<int64_t, 2> shape{map.entries};
  if (map.numIds)
    shape.push_back(2);
  return {nameOfMap(table), "I32", shape,
          ArrayRef(map.data, size_t(map.bytes))};
}

static std::string getDirectory(const Collection &collection,
                                StringRef outputDir) {
  SmallString<256> directory(outputDir);
  if (!collection.path.empty())
    sys::path::append(directory, collection.path);
  return directory.str().str();
}

static Error buildCollection(const Collection &collection, MLIRContext &context,
                             BuiltModel &built) {
  // The archive must not choose where to write.
  if (StringRef(collection.path).contains('/'))
    return createStringError("expected a name that can be one directory's, got "
                             "one with '/'; rename the module");
  Expected<ModelSpec> spec = parseModelSpec(makeSpec(collection));
  if (!spec)
    return spec.takeError();
  built.module = buildModel(*spec, context);
  for (auto [table, op] :
       zip_equal(collection.tables, built.module->getOps<TableOp>())) {
    Expected<Tensor> tensor = makeTensor(table, op);
    if (!tensor)
      return tensor.takeError();
    built.tensors.push_back(std::move(*tensor));
  }
  for (const StoredPositionWeights &weights : collection.positionWeights)
    built.tensors.push_back(makeTensor(weights));
  for (const StoredTable &table : collection.tables)
    if (table.map)
      built.tensors.push_back(makeMapTensor(table));
  return Error::success();
}

static Error writeBuilt(BuiltModel &built) {
  if (std::error_code code = sys::fs::create_directories(
          built.directory, /*IgnoreExisting=*/true, sys::fs::all_all))
    return createStringError(built.directory +
                             ": cannot be made: " + code.message());
  SmallString<256> weights(built.directory), text(built.directory);
  sys::path::append(weights, "model.safetensors");
  sys::path::append(text, "model.mlir");
  if (Error error = writeTensorFile(weights, std::move(built.tensors)))
    return error;
  return writeFileAtomically(text,
                             [&](raw_ostream &os) { built.module->print(os); });
}

Expected<std::vector<std::string>> mlir::trec::writeCollections(
    StringRef archive, ArrayRef<Collection> collections, StringRef outputDir) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  std::vector<BuiltModel> models(collections.size());
  for (auto [collection, built] : zip_equal(collections, models)) {
    built.directory = getDirectory(collection, outputDir);
    if (Error error = buildCollection(collection, context, built))
      return createStringError(archive + ": " +
                               (collection.path.empty()
                                    ? "the archive's module"
                                    : "module '" + collection.path + "'") +
                               ": " + toString(std::move(error)));
  }
  std::vector<std::string> directories;
  for (BuiltModel &built : models) {
    if (Error error = writeBuilt(built))
      return error;
    directories.push_back(built.directory);
  }
  return directories;
}
