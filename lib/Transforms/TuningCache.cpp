//===- TuningCache.cpp - Lowerings that were measured ---------------------===//

#include "trec/Transforms/TuningCache.h"

#include "trec/Conversion/BagConfiguration.h"
#include "trec/Import/AtomicFile.h"
#include "trec/Import/JsonFields.h"
#include "trec/Transforms/LoweringSpace.h"

#include "mlir/AsmParser/AsmParser.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
namespace json = llvm::json;

/// Version of tuning caches. Another meaning of a field or of a lowering is
/// another version.
static constexpr int64_t kVersion = 2;

TuningKey TuningKey::of(LookupGroupInterface group, StringRef level,
                        const SymbolTable &symbols) {
  return {level.str(), BagConfiguration::of(group).getName(),
          getSizeClass(getLargestTable(group, symbols))};
}

std::string TuningKey::describe() const {
  return configuration + " (" + stringifySizeClass(size).str() + ") on " +
         level;
}

const TuningEntry *TuningCache::find(const TuningKey &key) const {
  auto found = entries.find(key);
  return found == entries.end() ? nullptr : &found->second;
}

const GPUTuningEntry *TuningCache::findGPU(const TuningKey &key) const {
  auto found = gpuEntries.find(key);
  return found == gpuEntries.end() ? nullptr : &found->second;
}

std::pair<const GPUTuningEntry *, StringRef>
TuningCache::findLatest(LookupGroupInterface group, ArrayRef<std::string> chips,
                        const SymbolTable &symbols) const {
  for (StringRef chip : llvm::reverse(chips))
    if (auto *entry = findGPU(TuningKey::of(group, chip, symbols)))
      return {entry, chip};
  return {nullptr, ""};
}

/// What the parser complains of becomes the message.
template <typename LoweringAttr>
static LoweringAttr readLowering(JsonFields &fields, StringRef field,
                                 FirstError &error, MLIRContext *context) {
  std::string text = fields.readString(field), complaint;
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    if (complaint.empty())
      complaint = diagnostic.str();
    return success();
  });
  Attribute attribute = parseAttribute(text, context);
  auto lowering = dyn_cast_or_null<LoweringAttr>(attribute);
  if (!lowering)
    error.report(fields.at(field),
                 "expected a #trec." + LoweringAttr::getMnemonic() + ", got " +
                     quote(text) + (complaint.empty() ? "" : ": " + complaint));
  return lowering;
}

static SizeClass readSizeClass(JsonFields &fields) {
  SmallVector<StringRef> names =
      llvm::map_to_vector(getSizeClasses(), stringifySizeClass);
  return getSizeClasses()[fields.readChoice("tables", names)];
}

static std::pair<TuningKey, TuningEntry>
readEntry(JsonFields fields, FirstError &error, MLIRContext *context) {
  fields.refuseUnknown({"level", "configuration", "tables", "lowering",
                        "ns_per_lookup", "cost_model", "cost_model_ns", "noise",
                        "load", "date"});
  TuningKey key{fields.readString("level"), fields.readString("configuration"),
                readSizeClass(fields)};
  TuningEntry entry;
  entry.lowering =
      readLowering<LoweringConfigAttr>(fields, "lowering", error, context);
  entry.model =
      readLowering<LoweringConfigAttr>(fields, "cost_model", error, context);
  entry.tunedNanoseconds = fields.readNonNegative("ns_per_lookup");
  entry.modelNanoseconds = fields.readNonNegative("cost_model_ns");
  entry.noise = fields.readNonNegative("noise");
  entry.load = fields.readString("load");
  entry.date = fields.readString("date");
  return {std::move(key), std::move(entry)};
}

/// Reads each object of an array, which is told its place.
static void
forEachObject(JsonFields &fields, StringRef field, FirstError &error,
              llvm::function_ref<void(JsonFields, StringRef place)> read) {
  const json::Array *objects = fields.readArray(field);
  for (size_t i = 0; objects && i < objects->size(); ++i) {
    std::string place = fields.at(field) + "[" + std::to_string(i) + "]";
    read(JsonFields((*objects)[i], place, error), place);
  }
}

static GPULoadTimes readTimes(JsonFields fields) {
  fields.refuseUnknown({"load", "us_per_call", "cost_model_us", "noise"});
  return {fields.readString("load"), fields.readNonNegative("cost_model_us"),
          fields.readNonNegative("us_per_call"),
          fields.readNonNegative("noise")};
}

static std::pair<TuningKey, GPUTuningEntry>
readGPUEntry(JsonFields fields, FirstError &error, MLIRContext *context) {
  fields.refuseUnknown({"chip", "device", "configuration", "tables", "lowering",
                        "cost_model", "times", "date"});
  TuningKey key{fields.readString("chip"), fields.readString("configuration"),
                readSizeClass(fields)};
  GPUTuningEntry entry;
  entry.device = fields.readString("device");
  entry.lowering =
      readLowering<GPULoweringConfigAttr>(fields, "lowering", error, context);
  entry.model =
      readLowering<GPULoweringConfigAttr>(fields, "cost_model", error, context);
  forEachObject(fields, "times", error, [&](JsonFields times, StringRef) {
    entry.times.push_back(readTimes(times));
  });
  entry.date = fields.readString("date");
  return {std::move(key), std::move(entry)};
}

static TuningCache readDocument(const json::Value &document, FirstError &error,
                                MLIRContext *context) {
  JsonFields fields(document, "", error);
  // First, for another version may have other fields.
  fields.readInteger("trec_tune", {kVersion, kVersion});
  fields.refuseUnknown({"trec_tune", "machine", "entries", "gpu_entries"});
  TuningCache cache(fields.readString("machine"));
  auto refuseSecond = [&](StringRef place, const TuningKey &key) {
    error.report(place, "expected one entry for " + key.describe() +
                            ", got a second one");
  };
  auto readCPU = [&](JsonFields object, StringRef place) {
    auto [key, entry] = readEntry(object, error, context);
    if (cache.find(key))
      refuseSecond(place, key);
    cache.set(key, std::move(entry));
  };
  auto readGPU = [&](JsonFields object, StringRef place) {
    auto [key, entry] = readGPUEntry(object, error, context);
    if (cache.findGPU(key))
      refuseSecond(place, key);
    cache.setGPU(key, std::move(entry));
  };
  forEachObject(fields, "entries", error, readCPU);
  if (fields.has("gpu_entries"))
    forEachObject(fields, "gpu_entries", error, readGPU);
  return cache;
}

Expected<TuningCache> TuningCache::read(StringRef path, MLIRContext *context) {
  Expected<json::Value> parsed = readJsonFile(path);
  if (!parsed)
    return parsed.takeError();
  FirstError error;
  TuningCache cache = readDocument(*parsed, error, context);
  if (error)
    return createStringError(path + ": " + llvm::toString(error.take()));
  return cache;
}

/// As many digits as a measurement is worth, and a person reads.
static void writeNumber(json::OStream &json, StringRef field, double number) {
  json.attributeBegin(field);
  json.rawValue(llvm::formatv("{0:F4}", number).str());
  json.attributeEnd();
}

static void writeEntry(json::OStream &json, const TuningKey &key,
                       const TuningEntry &entry) {
  json.object([&] {
    json.attribute("level", key.level);
    json.attribute("configuration", key.configuration);
    json.attribute("tables", stringifySizeClass(key.size));
    json.attribute("lowering", stringifyLowering(entry.lowering));
    writeNumber(json, "ns_per_lookup", entry.tunedNanoseconds);
    json.attribute("cost_model", stringifyLowering(entry.model));
    writeNumber(json, "cost_model_ns", entry.modelNanoseconds);
    writeNumber(json, "noise", entry.noise);
    json.attribute("load", entry.load);
    json.attribute("date", entry.date);
  });
}

static void writeGPUEntry(json::OStream &json, const TuningKey &key,
                          const GPUTuningEntry &entry) {
  json.object([&] {
    json.attribute("chip", key.level);
    json.attribute("device", entry.device);
    json.attribute("configuration", key.configuration);
    json.attribute("tables", stringifySizeClass(key.size));
    json.attribute("lowering", stringifyLowering(entry.lowering));
    json.attribute("cost_model", stringifyLowering(entry.model));
    json.attributeArray("times", [&] {
      for (const GPULoadTimes &times : entry.times)
        json.object([&] {
          json.attribute("load", times.load);
          writeNumber(json, "us_per_call", times.tuned);
          writeNumber(json, "cost_model_us", times.model);
          writeNumber(json, "noise", times.noise);
        });
    });
    json.attribute("date", entry.date);
  });
}

Error TuningCache::write(StringRef path) const {
  return writeFileAtomically(path, [&](raw_ostream &os) {
    json::OStream json(os, /*IndentSize=*/1);
    json.object([&] {
      json.attribute("trec_tune", kVersion);
      json.attribute("machine", machine);
      json.attributeArray("entries", [&] {
        for (const auto &[key, entry] : entries)
          writeEntry(json, key, entry);
      });
      if (gpuEntries.empty())
        return;
      json.attributeArray("gpu_entries", [&] {
        for (const auto &[key, entry] : gpuEntries)
          writeGPUEntry(json, key, entry);
      });
    });
    os << '\n';
  });
}
