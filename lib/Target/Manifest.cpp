//===- Manifest.cpp - What a compiled model says of itself ----------------===//

#include "trec/Target/Manifest.h"
#include "trec/Conversion/BagConfiguration.h"
#include "trec/Runtime/ModelABI.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::trec;

static void readTables(ModuleOp module, Manifest &manifest,
                       llvm::StringMap<size_t> &tableIndex) {
  for (auto table : module.getOps<TableOp>()) {
    tableIndex[table.getSymName()] = manifest.tables.size();
    manifest.tables.push_back({table.getSymName().str(), table.getType(), {}});
  }
}

static void readGroup(EmbeddingBagGroupOp group, Manifest &manifest,
                      const llvm::StringMap<size_t> &tableIndex) {
  std::string kernel = BagConfiguration::of(group).getName();
  manifest.kernels.push_back(
      {kernel, group.getLoweringAttr(), int64_t(group.getBags().size())});
  manifest.weighted |= group.getWeighted();
  manifest.policy = group.getPolicy();
  for (BagAttr bag : group.getBags().getAsRange<BagAttr>()) {
    StringRef table = bag.getTable().getValue();
    std::vector<std::string> &kernels =
        manifest.tables[tableIndex.lookup(table)].kernels;
    if (!llvm::is_contained(kernels, kernel))
      kernels.push_back(kernel);
    manifest.outputs.push_back({"", bag.getFeature().str(), table.str(),
                                stringifyPooling(group.getPooling()).str(),
                                bag.getColumn(), group.getRowType().getDim()});
  }
}

FailureOr<Manifest> mlir::trec::readManifest(ModuleOp module) {
  SmallVector<EmbeddingBagGroupOp> groups;
  module.walk([&](EmbeddingBagGroupOp group) { groups.push_back(group); });
  if (groups.empty())
    return module.emitError("expected a module with lookups to compile");
  KeyedTensorType keyed = groups.front().getDest().getType();

  Manifest manifest{};
  manifest.name = module.getSymName().value_or("model").str();
  manifest.outputElement = keyed.getElement();
  manifest.totalDim = keyed.getTotalDim();
  for (StringAttr key : groups.front().getKjt().getType().getKeys())
    manifest.features.push_back(key.str());
  llvm::StringMap<size_t> tableIndex;
  readTables(module, manifest, tableIndex);
  for (EmbeddingBagGroupOp group : groups)
    readGroup(group, manifest, tableIndex);

  llvm::sort(manifest.outputs,
             [](auto &a, auto &b) { return a.column < b.column; });
  for (auto [output, key] : llvm::zip(manifest.outputs, keyed.getKeys()))
    output.key = key.str();
  return manifest;
}

StringRef mlir::trec::getDTypeName(Type element) {
  if (element.isF16())
    return "float16";
  return element.isBF16() ? "bfloat16" : "float32";
}

static void writeOutput(llvm::json::OStream &json, const Manifest &manifest) {
  json.attributeObject("output", [&] {
    json.attribute("dtype", getDTypeName(manifest.outputElement));
    json.attribute("total_dim", manifest.totalDim);
    json.attributeArray("keys", [&] {
      for (const ManifestOutput &output : manifest.outputs)
        json.object([&] {
          json.attribute("key", output.key);
          json.attribute("feature", output.feature);
          json.attribute("table", output.table);
          json.attribute("pooling", output.pooling);
          json.attribute("column", output.column);
          json.attribute("dim", output.dim);
        });
    });
  });
}

static void writeTable(llvm::json::OStream &json, const ManifestTable &table) {
  RowType row = table.type.getRowType();
  json.object([&] {
    json.attribute("name", table.name);
    bool isDynamic = table.type.hasDynamicRows();
    int64_t rows = table.type.getRows();
    json.attribute("rows", isDynamic ? llvm::json::Value(nullptr)
                                     : llvm::json::Value(rows));
    json.attribute("dim", row.getDim());
    json.attribute("dtype", stringifyWeightsType(row.getWeights()));
    json.attribute("row_alignment", row.getLayout().getAlign());
    json.attribute("row_bytes", row.getRowBytes());
    json.attribute("bytes", isDynamic
                                ? llvm::json::Value(nullptr)
                                : llvm::json::Value(rows * row.getRowBytes()));
    json.attribute("kernel",
                   table.kernels.empty() ? "" : table.kernels.front());
  });
}

static void writeLevels(llvm::json::OStream &json, ArrayRef<CPUTarget> levels) {
  json.attributeArray("cpu", [&] {
    for (const CPUTarget &target : levels)
      json.object([&] {
        json.attribute("level", target.name);
        json.attributeArray("features", [&] {
          for (StringRef feature : target.features)
            json.value(feature);
        });
      });
  });
}

std::string mlir::trec::renderMetadata(const Manifest &manifest,
                                       ArrayRef<CPUTarget> levels) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, /*IndentSize=*/1);
  json.object([&] {
    json.attribute("trec_abi", TREC_ABI_VERSION);
    json.attribute("name", manifest.name);
    json.attribute("kind", "embedding_bag_collection");
    json.attributeArray("features", [&] {
      for (const std::string &feature : manifest.features)
        json.value(feature);
    });
    json.attribute("weighted", manifest.weighted);
    json.attribute("bounds_check", stringifyBoundsPolicy(manifest.policy));
    json.attribute("numerics", "fbgemm");
    writeOutput(json, manifest);
    json.attributeArray("tables", [&] {
      for (const ManifestTable &table : manifest.tables)
        writeTable(json, table);
    });
    writeLevels(json, levels);
    json.attributeArray("kernels", [&] {
      for (const ManifestKernel &kernel : manifest.kernels)
        json.value(kernel.name);
    });
  });
  return text;
}
