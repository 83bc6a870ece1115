//===- Report.cpp - What was compiled, as JSON ----------------------------===//

#include "Report.h"

#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kCacheLineBytes = 64;

/// Cache lines that one lookup touches on average over all rows of a table: a
/// row that starts within a line may straddle one more.
static double averageLines(RowType row) {
  int64_t used = row.getHeaderBytes() + row.getDataBytes();
  int64_t stride = row.getRowBytes(), lines = 0;
  // Starts repeat after as many rows as a line has bytes.
  for (int64_t i = 0; i < kCacheLineBytes; ++i) {
    int64_t begin = i * stride % kCacheLineBytes;
    lines += (begin + used - 1) / kCacheLineBytes + 1;
  }
  return double(lines) / kCacheLineBytes;
}

static void writeTable(llvm::json::OStream &json, const ManifestTable &table) {
  RowType row = table.type.getRowType();
  json.object([&] {
    json.attribute("name", table.name);
    json.attribute("dtype", stringifyWeightsType(row.getWeights()));
    json.attribute("dim", row.getDim());
    if (!table.type.hasDynamicRows())
      json.attribute("rows", table.type.getRows());
    json.attributeArray("kernels", [&] {
      for (const std::string &kernel : table.kernels)
        json.value(kernel);
    });
    json.attribute("row_bytes", row.getRowBytes());
    json.attribute("bytes_per_lookup",
                   row.getHeaderBytes() + row.getDataBytes());
    json.attribute("lines_per_lookup", averageLines(row));
  });
}

static void writeLowering(llvm::json::OStream &json,
                          LoweringConfigAttr lowering) {
  json.attributeObject("lowering", [&] {
    json.attribute("vector_width", lowering.getVectorWidth());
    json.attribute("accumulators", lowering.getAccumulators());
    json.attribute("prefetch_distance", lowering.getPrefetchDistance());
    json.attribute("far_distance", lowering.getFarDistance());
    json.attribute("far_group", lowering.getFarGroup());
    json.attribute("unpack", stringifyUnpackMode(lowering.getUnpack()));
    json.attribute("fma", stringifyFmaMode(lowering.getFma()));
    json.attribute("half", stringifyHalfMode(lowering.getHalf()));
    json.attribute("certified",
                   stringifyRowArithmetic(lowering.getCertified()));
    json.attribute("numerics", stringifyNumerics(lowering.getNumerics()));
  });
}

static void writeLevel(llvm::json::OStream &json, const Manifest &manifest,
                       const LevelKernels &level) {
  json.object([&] {
    json.attribute("level", level.target.name);
    json.attributeArray("kernels", [&] {
      for (auto [index, kernel] : llvm::enumerate(manifest.kernels))
        json.object([&, index = index, &kernel = kernel] {
          json.attribute("name", kernel.name);
          json.attribute("bags", kernel.numBags);
          writeLowering(json, level.lowerings[index]);
          // Units are in the order of kernels, ids of 32 bits first.
          json.attribute("code_bytes_i32", level.units[2 * index].codeBytes);
          json.attribute("code_bytes_i64",
                         level.units[2 * index + 1].codeBytes);
        });
    });
  });
}

std::string mlir::trec::renderReport(const Manifest &manifest,
                                     ArrayRef<LevelKernels> levels) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, /*IndentSize=*/1);
  json.object([&] {
    json.attribute("name", manifest.name);
    json.attributeArray("tables", [&] {
      for (const ManifestTable &table : manifest.tables)
        writeTable(json, table);
    });
    json.attribute("target",
                   getTripleName(levels.front().target.level->architecture));
    json.attributeArray("cpu", [&] {
      for (const LevelKernels &level : levels)
        writeLevel(json, manifest, level);
    });
  });
  os << '\n';
  return text;
}
