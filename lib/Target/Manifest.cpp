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
  for (auto parameter : module.getOps<ParameterOp>())
    manifest.parameters.push_back({parameter.getSymName().str(),
                                   parameter.getType(), parameter.getMapAttr(),
                                   parameter.getNumEntries(),
                                   parameter.getEntryBytes()});
}

static void readGroup(LookupGroupInterface group, Manifest &manifest,
                      const llvm::StringMap<size_t> &tableIndex) {
  std::string kernel = BagConfiguration::of(group).getName();
  manifest.kernels.push_back(
      {kernel, group.getLoweringAttr(), int64_t(group.getBags().size())});
  manifest.weighted |= group.getWeighting() == Weighting::sample;
  manifest.policy = group.getPolicyAttr().getValue();
  std::optional<Pooling> mode = group.getPoolingMode();
  StringRef pooling = mode ? stringifyPooling(*mode) : "none";
  for (BagAttr bag : group.getBags().getAsRange<BagAttr>()) {
    StringRef table = bag.getTable().getValue();
    std::vector<std::string> &kernels =
        manifest.tables[tableIndex.lookup(table)].kernels;
    if (!llvm::is_contained(kernels, kernel))
      kernels.push_back(kernel);
    manifest.outputs.push_back(
        {"", bag.getFeature().str(), table.str(), pooling.str(),
         bag.getRemap() ? bag.getRemap().getValue().str() : "", bag.getColumn(),
         group.getRowType().getDim()});
  }
}

/// Reads what the type of the output says; the outputs are in its order.
static void readOutput(LookupGroupInterface group, Manifest &manifest) {
  manifest.outputElement = group.getOutputElement();
  Type type = group.getDest().getType();
  auto keyed = dyn_cast<KeyedTensorType>(type);
  manifest.isPooled = bool(keyed);
  manifest.totalDim = keyed ? keyed.getTotalDim() : 0;
  ArrayRef<StringAttr> keys =
      keyed ? keyed.getKeys() : cast<JaggedDictType>(type).getKeys();
  for (auto [output, key] : llvm::zip(manifest.outputs, keys))
    output.key = key.str();
}

FailureOr<Manifest> mlir::trec::readManifest(ModuleOp module) {
  SmallVector<LookupGroupInterface> groups;
  module.walk([&](LookupGroupInterface group) { groups.push_back(group); });
  if (groups.empty())
    return module.emitError("expected a module with lookups to compile");

  Manifest manifest{};
  manifest.name = module.getSymName().value_or("model").str();
  auto kjt = cast<KJTType>(groups.front().getKjt().getType());
  for (StringAttr key : kjt.getKeys())
    manifest.features.push_back(key.str());
  llvm::StringMap<size_t> tableIndex;
  readTables(module, manifest, tableIndex);
  for (LookupGroupInterface group : groups)
    readGroup(group, manifest, tableIndex);
  llvm::sort(manifest.outputs,
             [](auto &a, auto &b) { return a.column < b.column; });
  readOutput(groups.front(), manifest);
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
          if (!output.remap.empty())
            json.attribute("remap", output.remap);
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

static void writeParameter(llvm::json::OStream &json,
                           const ManifestParameter &parameter) {
  MapAttr map = parameter.map;
  Type element = parameter.type.getElementType();
  json.object([&] {
    json.attribute("name", parameter.name);
    json.attribute("dtype", element.isF32()         ? "float32"
                            : element.isInteger(32) ? "int32"
                                                    : "int64");
    json.attribute("count", parameter.count);
    json.attribute("entry_bytes", parameter.entryBytes);
    if (!map)
      return;
    json.attribute("map", stringifyMapKind(map.getKind()));
    if (map.getKind() == MapKind::hash_table)
      json.attribute("num_ids", map.getIds());
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
    json.attribute("kind", manifest.isPooled ? "embedding_bag_collection"
                                             : "embedding_collection");
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
    json.attributeArray("parameters", [&] {
      for (const ManifestParameter &parameter : manifest.parameters)
        writeParameter(json, parameter);
    });
    writeLevels(json, levels);
    json.attributeArray("kernels", [&] {
      for (const ManifestKernel &kernel : manifest.kernels)
        json.value(kernel.name);
    });
  });
  return text;
}
