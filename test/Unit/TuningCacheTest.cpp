//===- TuningCacheTest.cpp - The file of measured lowerings ---------------===//

#include "trec/Transforms/TuningCache.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class TuningCacheTest : public ::testing::Test {
protected:
  TuningCacheTest() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<TrecDialect>();
    EXPECT_FALSE(llvm::sys::fs::createTemporaryFile("cache", "json", path));
    remover.setFile(path);
  }

  LoweringConfigAttr makeLowering(int64_t distance) {
    return LoweringConfigAttr::get(
        &context, 8, 8, distance, 0, 1, 1, UnpackMode::convert,
        HeaderMode::registers, FmaMode::hardware, HalfMode::hardware,
        RowArithmetic::in_order, Numerics::fbgemm, StoreMode::cached, 0);
  }
  TuningEntry makeEntry(int64_t distance) {
    return {makeLowering(distance),   makeLowering(16), 2.5, 2.25, 0.01,
            "b256 l20 uniform int64", "2026-11-25"};
  }
  std::string writeAndRead(const TuningCache &cache) {
    EXPECT_FALSE(bool(cache.write(path)));
    return llvm::cantFail(
               llvm::errorOrToExpected(llvm::MemoryBuffer::getFile(path)))
        ->getBuffer()
        .str();
  }
  /// What reading this text complains of, without the path.
  std::string errorOf(StringRef text) {
    std::error_code error;
    llvm::raw_fd_ostream(path, error) << text;
    llvm::Expected<TuningCache> cache = TuningCache::read(path, &context);
    if (cache)
      return "";
    std::string message = llvm::toString(cache.takeError());
    EXPECT_TRUE(StringRef(message).starts_with(path));
    return message.substr(path.size() + 2);
  }
  GPUTuningEntry makeGPUEntry(int64_t rows) {
    GPUTuningEntry entry;
    entry.lowering = GPULoweringConfigAttr::get(&context, 16, 2, rows, 4, 8,
                                                GPUNumerics::fbgemm, 0, 0, 0, 0,
                                                0, 0, false, 1);
    entry.model = GPULoweringConfigAttr::get(&context, 16, 2, 4, 4, 8,
                                             GPUNumerics::fbgemm, 32, 1, 16, 0,
                                             2, 0, true, 1);
    entry.times = {{"b256 l20 uniform int64", 20.5, 18.25, 0.01},
                   {"b8192 l20 uniform int64", 400, 400, 0.02}};
    entry.device = "NVIDIA H200";
    entry.date = "2026-11-26";
    return entry;
  }
  /// Of a file with one entry, a piece of which is replaced.
  std::string errorWith(StringRef piece, StringRef other) {
    TuningCache cache("znver4");
    cache.set(key, makeEntry(8));
    std::string text = writeAndRead(cache);
    size_t place = text.find(piece);
    EXPECT_NE(place, std::string::npos) << piece.str();
    return errorOf(text.replace(place, piece.size(), other));
  }

  MLIRContext context;
  SmallString<128> path;
  llvm::FileRemover remover;
  TuningKey key{"x86-64-v3", "bag_sum_int8x128_align16_f32",
                SizeClass::lastLevel};
  TuningKey gpuKey{"sm_90", key.configuration, key.size};
};

} // namespace

TEST_F(TuningCacheTest, whatIsWrittenIsRead) {
  TuningCache cache("znver4");
  cache.set(key, makeEntry(8));
  writeAndRead(cache);
  llvm::Expected<TuningCache> read = TuningCache::read(path, &context);
  ASSERT_TRUE(bool(read)) << llvm::toString(read.takeError());
  EXPECT_EQ(read->getMachine(), "znver4");
  EXPECT_EQ(read->size(), 1u);
  const TuningEntry *entry = read->find(key);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->lowering, makeLowering(8));
  EXPECT_EQ(entry->model, makeLowering(16));
  EXPECT_EQ(entry->modelNanoseconds, 2.5);
  EXPECT_EQ(entry->tunedNanoseconds, 2.25);
  EXPECT_EQ(entry->noise, 0.01);
  EXPECT_EQ(entry->load, "b256 l20 uniform int64");
  EXPECT_EQ(entry->date, "2026-11-25");
}

TEST_F(TuningCacheTest, anEntryIsOfALevelAConfigurationAndASize) {
  TuningCache cache("znver4");
  cache.set(key, makeEntry(8));
  EXPECT_EQ(cache.find({"x86-64-v4", key.configuration, key.size}), nullptr);
  EXPECT_EQ(cache.find({key.level, "bag_mean", key.size}), nullptr);
  EXPECT_EQ(cache.find({key.level, key.configuration, SizeClass::memory}),
            nullptr);
}

TEST_F(TuningCacheTest, theOrderOfEntriesIsNoneOfMeasuring) {
  TuningKey other = key;
  other.level = "x86-64-v2";
  TuningCache forth("znver4"), back("znver4");
  forth.set(key, makeEntry(8));
  forth.set(other, makeEntry(4));
  back.set(other, makeEntry(4));
  back.set(key, makeEntry(8));
  EXPECT_EQ(writeAndRead(forth), writeAndRead(back));
}

TEST_F(TuningCacheTest, entriesOfGPUsAreReadToo) {
  TuningCache cache("znver4");
  cache.set(key, makeEntry(8));
  cache.setGPU(gpuKey, makeGPUEntry(6));
  std::string text = writeAndRead(cache);
  llvm::Expected<TuningCache> read = TuningCache::read(path, &context);
  ASSERT_TRUE(bool(read)) << llvm::toString(read.takeError());
  EXPECT_EQ(read->size(), 1u);
  EXPECT_EQ(read->sizeOfGPU(), 1u);
  EXPECT_EQ(read->find(gpuKey), nullptr);
  EXPECT_EQ(read->findGPU(key), nullptr);
  const GPUTuningEntry *entry = read->findGPU(gpuKey);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->lowering, makeGPUEntry(6).lowering);
  EXPECT_EQ(entry->model, makeGPUEntry(6).model);
  EXPECT_EQ(entry->device, "NVIDIA H200");
  ASSERT_EQ(entry->times.size(), 2u);
  EXPECT_EQ(entry->times[0].load, "b256 l20 uniform int64");
  EXPECT_EQ(entry->times[0].model, 20.5);
  EXPECT_EQ(entry->times[0].tuned, 18.25);
  EXPECT_EQ(entry->times[1].noise, 0.02);
  EXPECT_EQ(entry->date, "2026-11-26");
  EXPECT_EQ(writeAndRead(*read), text);
}

TEST_F(TuningCacheTest, refusesMalformedEntriesOfGPUs) {
  TuningCache cache("znver4");
  cache.setGPU(gpuKey, makeGPUEntry(6));
  std::string text = writeAndRead(cache);
  auto errorOfGPU = [&](StringRef piece, StringRef other) {
    std::string changed = text;
    size_t place = changed.find(piece);
    EXPECT_NE(place, std::string::npos) << piece.str();
    return errorOf(changed.replace(place, piece.size(), other));
  };
  EXPECT_EQ(errorOfGPU("\"device\"", "\"level\""),
            "gpu_entries[0].level: unknown field, expected one of chip, "
            "device, configuration, tables, lowering, cost_model, times, date");
  EXPECT_EQ(errorOfGPU("rows_in_flight = 6", "rows_in_flight = 60"),
            "gpu_entries[0].lowering: expected a #trec.gpu_lowering_config, "
            "got \"#trec.gpu_lowering_config<lanes = 16, units_per_lane = 2, "
            "rows_in_flight = 60>\": expected 1 to 32 rows in flight, got 60");
  EXPECT_EQ(errorOfGPU("\"us_per_call\": 400.0000", "\"us_per_call\": -1"),
            "gpu_entries[0].times[1].us_per_call: expected a number of at "
            "least 0, got -1");
  EXPECT_EQ(errorOfGPU("\"cost_model_us\"", "\"model\""),
            "gpu_entries[0].times[0].model: unknown field, expected one of "
            "load, us_per_call, cost_model_us, noise");
  size_t begin = text.find("  {\n   \"chip\""), end = text.rfind("  }") + 3;
  std::string entry = text.substr(begin, end - begin);
  EXPECT_EQ(errorOf(std::string(text).insert(end, "," + entry)),
            "gpu_entries[1]: expected one entry for "
            "bag_sum_int8x128_align16_f32 (level3) on sm_90, got a second "
            "one");
}

TEST_F(TuningCacheTest, refusesOtherVersionsAndFiles) {
  EXPECT_EQ(errorWith("\"trec_tune\": 2", "\"trec_tune\": 1"),
            "trec_tune: expected 2, got 1");
  EXPECT_EQ(errorOf("[]"), "document: expected an object, got an array");
  EXPECT_EQ(errorOf("{}"), "trec_tune: expected 2, got nothing");
  EXPECT_NE(errorOf("{"), "");
  EXPECT_EQ(errorWith("\"machine\"", "\"host\""),
            "host: unknown field, expected one of trec_tune, machine, entries, "
            "gpu_entries");
}

TEST_F(TuningCacheTest, refusesMalformedEntries) {
  EXPECT_EQ(errorWith("\"noise\": 0.0100", "\"noise\": -1"),
            "entries[0].noise: expected a number of at least 0, got -1");
  EXPECT_EQ(errorWith("\"date\"", "\"day\""),
            "entries[0].day: unknown field, expected one of level, "
            "configuration, tables, lowering, ns_per_lookup, cost_model, "
            "cost_model_ns, noise, load, date");
  EXPECT_EQ(errorWith("level3", "level4"),
            "entries[0].tables: expected one of \"level2\", \"level3\", "
            "\"memory\", got \"level4\"");
}

TEST_F(TuningCacheTest, refusesLoweringsThatDoNotParseOrVerify) {
  EXPECT_EQ(errorWith("#trec.lowering_config<vector_width = 8, accumulators = "
                      "8, prefetch_distance = 8>",
                      "unit"),
            "entries[0].lowering: expected a #trec.lowering_config, got "
            "\"unit\"");
  EXPECT_EQ(errorWith("vector_width = 8", "vector_width = 7"),
            "entries[0].lowering: expected a #trec.lowering_config, got "
            "\"#trec.lowering_config<vector_width = 7, accumulators = 8, "
            "prefetch_distance = 8>\": expected a vector width that is a power "
            "of two of at most 64, got 7");
  EXPECT_NE(errorWith("#trec.lowering_config<vector_width = 8", "#trec.lower<"),
            "");
}

TEST_F(TuningCacheTest, refusesASecondEntryForOneKey) {
  TuningCache cache("znver4");
  cache.set(key, makeEntry(8));
  std::string text = writeAndRead(cache);
  size_t begin = text.find("  {"), end = text.find("  }") + 3;
  std::string entry = text.substr(begin, end - begin);
  EXPECT_EQ(errorOf(text.insert(end, "," + entry)),
            "entries[1]: expected one entry for bag_sum_int8x128_align16_f32 "
            "(level3) on x86-64-v3, got a second one");
}

TEST_F(TuningCacheTest, saysWhereItCannotBeWritten) {
  llvm::Error error = TuningCache("znver4").write("/absent/cache.json");
  EXPECT_TRUE(StringRef(llvm::toString(std::move(error)))
                  .starts_with("/absent/cache.json: cannot be written: "));
}
