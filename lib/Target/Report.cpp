//===- Report.cpp - What was compiled, as JSON ----------------------------===//

#include "Report.h"
#include "LookupCost.h"
#include "trec/IR/RowUnits.h"
#include "trec/Transforms/LoweringSpace.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::trec;

/// As many digits as a time or a percentage is worth.
static void writeNumber(llvm::json::OStream &json, StringRef field,
                        double number) {
  json.attributeBegin(field);
  json.rawValue(llvm::formatv("{0:F2}", number).str());
  json.attributeEnd();
}

/// How a table is looked up by one kernel of one level. What was measured for a
/// kernel is told of the tables of the size that it was measured for.
static void writeLookup(llvm::json::OStream &json, const ManifestTable &table,
                        Type outputElement, StringRef kernel,
                        const KernelSchedule &schedule) {
  SizeClass size = getSizeClass(getTableBytes(table.type));
  json.attribute("kernel", kernel);
  json.attribute("schedule", stringifyLowering(schedule.lowering));
  json.attribute("chosen_by", schedule.measured ? "measurement" : "cost model");
  json.attributeArray("why", [&] {
    for (const std::string &reason : schedule.reasons)
      json.value(reason);
  });
  json.attribute("table_size", stringifySizeClass(size));
  writeNumber(json, "predicted_ns",
              predictLookup(table.type.getRowType(), outputElement, size,
                            schedule.lowering));
  if (schedule.measured && size == schedule.size)
    writeNumber(json, "measured_ns", schedule.measured->tunedNanoseconds);
  else
    json.attribute("measured_ns", nullptr);
}

static void writeLookups(llvm::json::OStream &json, const Manifest &manifest,
                         const ManifestTable &table,
                         ArrayRef<LevelKernels> levels) {
  json.attributeArray("lookups", [&] {
    for (const LevelKernels &level : levels)
      for (auto [index, kernel] : llvm::enumerate(manifest.kernels))
        if (llvm::is_contained(table.kernels, kernel.name))
          json.object([&, index = index, &kernel = kernel] {
            json.attribute("level", level.target.name);
            writeLookup(json, table, manifest.outputElement, kernel.name,
                        level.schedules[index]);
          });
  });
}

/// What callers have promised of the features that a table is looked up by.
static void writeFixedLengths(llvm::json::OStream &json,
                              const Manifest &manifest, StringRef table) {
  auto isPromised = [&](const ManifestOutput &output) {
    return output.table == table && output.length;
  };
  if (llvm::none_of(manifest.outputs, isPromised))
    return;
  json.attributeArray("fixed_lengths", [&] {
    for (const ManifestOutput &output :
         llvm::make_filter_range(manifest.outputs, isPromised))
      json.object([&] {
        json.attribute("feature", output.feature);
        json.attribute("length", *output.length);
      });
  });
}

static void writeTable(llvm::json::OStream &json, const Manifest &manifest,
                       const ManifestTable &table,
                       ArrayRef<LevelKernels> levels) {
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
    writeFixedLengths(json, manifest, table.name);
    writeLookups(json, manifest, table, levels);
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
    json.attribute("rows_at_once", lowering.getRowsAtOnce());
    json.attribute("unpack", stringifyUnpackMode(lowering.getUnpack()));
    json.attribute("header", stringifyHeaderMode(lowering.getHeader()));
    json.attribute("fma", stringifyFmaMode(lowering.getFma()));
    json.attribute("half", stringifyHalfMode(lowering.getHalf()));
    json.attribute("certified",
                   stringifyRowArithmetic(lowering.getCertified()));
    json.attribute("numerics", stringifyNumerics(lowering.getNumerics()));
    json.attribute("stores", stringifyStoreMode(lowering.getStores()));
    json.attribute("output_distance", lowering.getOutputDistance());
  });
}

/// What the tuning cache says of a kernel; null where it says nothing.
static void writeMeasured(llvm::json::OStream &json,
                          const std::optional<TuningEntry> &measured) {
  if (!measured)
    return json.attribute("measured", nullptr);
  json.attributeObject("measured", [&] {
    writeNumber(json, "ns_per_lookup", measured->tunedNanoseconds);
    json.attribute("cost_model", stringifyLowering(measured->model));
    writeNumber(json, "cost_model_ns", measured->modelNanoseconds);
    writeNumber(json, "noise_percent", measured->noise * 100);
    json.attribute("load", measured->load);
    json.attribute("date", measured->date);
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
          writeLowering(json, level.schedules[index].lowering);
          writeMeasured(json, level.schedules[index].measured);
          // Units are in the order of kernels, ids of 32 bits first.
          json.attribute("code_bytes_i32", level.units[2 * index].codeBytes);
          json.attribute("code_bytes_i64",
                         level.units[2 * index + 1].codeBytes);
        });
    });
  });
}

/// What the tuning cache says of a configuration; null where it says nothing.
static void writeMeasured(llvm::json::OStream &json,
                          const std::optional<GPUTuningEntry> &measured) {
  json.attribute("chosen_by", measured ? "measurement" : "cost model");
  if (!measured)
    return json.attribute("measured", nullptr);
  json.attributeObject("measured", [&] {
    json.attribute("device", measured->device);
    json.attribute("cost_model", stringifyLowering(measured->model));
    json.attributeArray("times", [&] {
      for (const GPULoadTimes &times : measured->times)
        json.object([&] {
          json.attribute("load", times.load);
          writeNumber(json, "us_per_call", times.tuned);
          writeNumber(json, "cost_model_us", times.model);
          writeNumber(json, "noise_percent", times.noise * 100);
        });
    });
    json.attribute("date", measured->date);
  });
}

static void writeConfiguration(llvm::json::OStream &json,
                               const BagConfiguration &configuration,
                               const std::optional<GPUTuningEntry> &measured) {
  GPULoweringConfigAttr lowering = configuration.gpuLowering;
  json.object([&] {
    json.attribute("name", configuration.getName());
    json.attributeObject("lowering", [&] {
      json.attribute("lanes", lowering.getLanes());
      json.attribute("units_per_lane", lowering.getUnitsPerLane());
      json.attribute("rows_in_flight", lowering.getRowsInFlight());
      json.attribute("warps", lowering.getWarps());
      json.attribute("blocks_per_sm", lowering.getBlocksPerSm());
      json.attribute("numerics", stringifyGPUNumerics(lowering.getNumerics()));
      GPULoweringConfigAttr few = lowering.getForFewBags();
      json.attribute("few_lanes", few.getLanes());
      json.attribute("few_units_per_lane", few.getUnitsPerLane());
      json.attribute("few_rows_in_flight", few.getRowsInFlight());
      json.attribute("stages", lowering.getStages());
      json.attribute("few_stages", few.getStages());
      json.attribute("few_blocks_per_sm", few.getBlocksPerSm());
      json.attribute("evict_first", lowering.getEvictFirst());
      json.attribute("bag_parts", lowering.getBagParts());
    });
    writeMeasured(json, measured);
    json.attribute("bags_per_block", getBagsPerBlock(configuration));
    json.attribute("device_row_bytes", getDeviceRowBytes(configuration.row));
  });
}

static void writeBinary(llvm::json::OStream &json, const GPUBinary &binary) {
  json.object([&] {
    json.attribute("chip", binary.target.chip);
    json.attribute("code_bytes", int64_t(binary.code.cubin.size()));
    json.attributeArray("kernels", [&] {
      for (const KernelResources &kernel : binary.code.kernels)
        json.object([&] {
          json.attribute("name", kernel.name);
          json.attribute("registers", kernel.registers);
          json.attribute("stack_bytes", kernel.stackBytes);
          json.attribute("spill_store_bytes", kernel.spillStoreBytes);
          json.attribute("spill_load_bytes", kernel.spillLoadBytes);
          json.attribute("shared_bytes", kernel.sharedBytes);
        });
    });
  });
}

static void writeGPU(llvm::json::OStream &json, const GPUKernels &gpu) {
  if (gpu.empty())
    return;
  json.attributeObject("gpu", [&] {
    json.attributeArray("configurations", [&] {
      for (auto [configuration, measured] :
           llvm::zip_equal(gpu.configurations, gpu.measured))
        writeConfiguration(json, configuration, measured);
    });
    json.attributeArray("chips", [&] {
      for (const GPUBinary &binary : gpu.binaries)
        writeBinary(json, binary);
    });
  });
}

std::string mlir::trec::renderReport(const Manifest &manifest,
                                     ArrayRef<LevelKernels> levels,
                                     const GPUKernels &gpu) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, /*IndentSize=*/1);
  json.object([&] {
    json.attribute("name", manifest.name);
    json.attributeArray("tables", [&] {
      for (const ManifestTable &table : manifest.tables)
        writeTable(json, manifest, table, levels);
    });
    json.attribute("target",
                   getTripleName(levels.front().target.level->architecture));
    json.attributeArray("cpu", [&] {
      for (const LevelKernels &level : levels)
        writeLevel(json, manifest, level);
    });
    writeGPU(json, gpu);
  });
  os << '\n';
  return text;
}
