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

static std::string getName(FlatSymbolRefAttr symbol) {
  return symbol ? symbol.getValue().str() : "";
}

static void readGroup(LookupGroupInterface group, Manifest &manifest,
                      const llvm::StringMap<size_t> &tableIndex) {
  std::string kernel = BagConfiguration::of(group).getName();
  manifest.kernels.push_back({kernel, int64_t(group.getBags().size())});
  manifest.policy = group.getPolicyAttr().getValue();
  if (LoweringConfigAttr lowering = group.getLoweringAttr())
    manifest.numerics = std::max(manifest.numerics, lowering.getNumerics());
  std::optional<Pooling> mode = group.getPoolingMode();
  StringRef pooling = mode ? stringifyPooling(*mode) : "none";
  for (BagAttr bag : group.getBags().getAsRange<BagAttr>()) {
    StringRef table = bag.getTable().getValue();
    std::vector<std::string> &kernels =
        manifest.tables[tableIndex.lookup(table)].kernels;
    if (!llvm::is_contained(kernels, kernel))
      kernels.push_back(kernel);
    manifest.batches[bag.getBatch()].weighted |=
        group.getWeighting() == Weighting::sample;
    // A regroup leaves no keys but those of its groups.
    std::string feature = bag.getFeature().str();
    manifest.outputs.push_back(
        {feature, feature, table.str(), pooling.str(), getName(bag.getRemap()),
         bag.getOutput(), bag.getColumn(),
         group.getRowType().getOutputDim(group.getOutputElement()),
         bag.getBatch(), group.getWeighting(), getName(bag.getWeights()),
         bag.getLength()});
  }
}

/// Reads what the type of the output says; the outputs are in its order.
static void readOutput(LookupGroupInterface group, Manifest &manifest) {
  manifest.outputElement = group.getOutputElement();
  Type type = group.getDest().getType();
  manifest.isPooled = !isa<JaggedDictType>(type);
  if (auto groups = dyn_cast<TensorDictType>(type)) {
    for (auto [key, dim] : llvm::zip(groups.getKeys(), groups.getDims()))
      manifest.groups.push_back({key.str(), dim});
    return;
  }
  auto keyed = dyn_cast<KeyedTensorType>(type);
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
  for (Value batch : groups.front().getBatches()) {
    std::vector<std::string> &features =
        manifest.batches.emplace_back().features;
    for (StringAttr key : cast<KJTType>(batch.getType()).getKeys())
      features.push_back(key.str());
  }
  llvm::StringMap<size_t> tableIndex;
  readTables(module, manifest, tableIndex);
  for (LookupGroupInterface group : groups)
    readGroup(group, manifest, tableIndex);
  llvm::sort(manifest.outputs, [](auto &a, auto &b) {
    return std::pair(a.group, a.column) < std::pair(b.group, b.column);
  });
  readOutput(groups.front(), manifest);
  return manifest;
}

std::vector<std::string> Manifest::listFeatures() const {
  std::vector<std::string> features;
  for (const ManifestBatch &batch : batches)
    llvm::append_range(features, batch.features);
  return features;
}

int64_t Manifest::getWeightedBatches() const {
  int64_t bits = 0;
  for (auto [index, batch] : llvm::enumerate(batches))
    bits |= int64_t(batch.weighted) << index;
  return bits;
}

StringRef mlir::trec::getDTypeName(Type element) {
  if (element.isInteger(8))
    return "uint8";
  if (element.isF16())
    return "float16";
  return element.isBF16() ? "bfloat16" : "float32";
}

/// Where a key of a regroup comes from: with this whoever loads the model makes
/// collections of its tables again.
static void writeOrigin(llvm::json::OStream &json,
                        const ManifestOutput &output) {
  json.attribute("group", output.group);
  json.attribute("batch", output.batch);
  json.attribute("weighting", stringifyWeighting(output.weighting));
  if (!output.positionWeights.empty())
    json.attribute("position_weights", output.positionWeights);
}

static void writeOutput(llvm::json::OStream &json, const Manifest &manifest) {
  json.attributeObject("output", [&] {
    json.attribute("dtype", getDTypeName(manifest.outputElement));
    json.attribute("total_dim", manifest.totalDim);
    if (!manifest.groups.empty())
      json.attributeArray("groups", [&] {
        for (const ManifestGroup &group : manifest.groups)
          json.object([&] {
            json.attribute("key", group.key);
            json.attribute("dim", group.dim);
          });
      });
    json.attributeArray("keys", [&] {
      for (const ManifestOutput &output : manifest.outputs)
        json.object([&] {
          json.attribute("key", output.key);
          json.attribute("feature", output.feature);
          json.attribute("table", output.table);
          json.attribute("pooling", output.pooling);
          if (!output.remap.empty())
            json.attribute("remap", output.remap);
          if (output.length)
            json.attribute("fixed_length", *output.length);
          if (!manifest.groups.empty())
            writeOrigin(json, output);
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
  json.attribute("target", getTripleName(levels.front().level->architecture));
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

static StringRef getKind(const Manifest &manifest) {
  if (!manifest.groups.empty())
    return "regrouped_collections";
  return manifest.isPooled ? "embedding_bag_collection"
                           : "embedding_collection";
}

static void writeNames(llvm::json::OStream &json, StringRef attribute,
                       ArrayRef<std::string> names) {
  json.attributeArray(attribute, [&] {
    for (const std::string &name : names)
      json.value(name);
  });
}

static void writeBatches(llvm::json::OStream &json, const Manifest &manifest) {
  writeNames(json, "features", manifest.listFeatures());
  json.attribute("weighted", manifest.getWeightedBatches() != 0);
  if (manifest.groups.empty())
    return;
  json.attributeArray("batches", [&] {
    for (const ManifestBatch &batch : manifest.batches)
      json.object([&] {
        writeNames(json, "features", batch.features);
        json.attribute("weighted", batch.weighted);
      });
  });
}

/// The chips that there is code for, and the one whose PTX later ones run.
static void writeChips(llvm::json::OStream &json, const GPUKernels &gpu) {
  if (gpu.empty())
    return;
  json.attributeObject("gpu", [&] {
    json.attributeArray("chips", [&] {
      for (const GPUBinary &binary : gpu.binaries)
        json.value(binary.target.chip);
    });
    json.attribute("ptx", gpu.binaries.back().target.chip);
    json.attribute("numerics", stringifyGPUNumerics(gpu.getNumerics()));
  });
}

std::string mlir::trec::renderMetadata(const Manifest &manifest,
                                       ArrayRef<CPUTarget> levels,
                                       const GPUKernels &gpu) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, /*IndentSize=*/1);
  json.object([&] {
    json.attribute("trec_abi", TREC_ABI_VERSION);
    json.attribute("name", manifest.name);
    json.attribute("kind", getKind(manifest));
    writeBatches(json, manifest);
    json.attribute("bounds_check", stringifyBoundsPolicy(manifest.policy));
    json.attribute("numerics", stringifyNumerics(manifest.numerics));
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
    writeChips(json, gpu);
    json.attributeArray("kernels", [&] {
      for (const ManifestKernel &kernel : manifest.kernels)
        json.value(kernel.name);
    });
  });
  return text;
}
