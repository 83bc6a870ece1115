//===- TuningCache.h - Lowerings that were measured -------------*- C++ -*-===//
//
// The file that `trec-compile --tune` writes and later compiles read: for each
// configuration the lowering that was fastest on a machine, with the numbers.
// It is text for people too, and the same entries give the same bytes:
//
//   Expected<TuningCache> cache = TuningCache::read("model.tune.json",
//   context); if (const TuningEntry *entry = cache->find(TuningKey::of(group,
//   …)))
//     use(entry->lowering);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_TUNINGCACHE_H
#define TREC_TRANSFORMS_TUNINGCACHE_H

#include "trec/Transforms/SelectLowering.h"

#include "llvm/Support/Error.h"

#include <map>

namespace mlir::trec {

/// What a lowering was measured for.
struct TuningKey {
  std::string level;         // "x86-64-v4", or a chip: "sm_90"
  std::string configuration; // "bag_sum_int8x128_align16_f32"
  SizeClass size;            // of the largest table

  static TuningKey of(LookupGroupInterface group, StringRef level,
                      const SymbolTable &symbols);
  /// "bag_sum_int8x128_align16_f32 (memory) on x86-64-v4".
  std::string describe() const;
  bool operator<(const TuningKey &other) const {
    return std::tie(level, configuration, size) <
           std::tie(other.level, other.configuration, other.size);
  }
  bool operator==(const TuningKey &other) const {
    return std::tie(level, configuration, size) ==
           std::tie(other.level, other.configuration, other.size);
  }
};

/// What was measured. Times are of one lookup, in nanoseconds.
struct TuningEntry {
  LoweringConfigAttr lowering; // the fastest, else the cost model's
  LoweringConfigAttr model;    // the cost model's
  double modelNanoseconds = 0;
  double tunedNanoseconds = 0;
  /// Gains below this part of a time are not told apart from none.
  double noise = 0;
  std::string load; // what was looked up: "b256 l20 uniform int64"
  std::string date; // "2026-11-25"
};

/// Times of calls of a model under one load, in microseconds.
struct GPULoadTimes {
  std::string load; // "b256 l20 uniform int64"
  double model = 0; // as the cost model schedules the configuration
  double tuned = 0; // as the entry does
  double noise = 0; // as that of a TuningEntry
};

/// What was measured on a GPU. One launch runs all of a model, so that times
/// are those of whole calls, in which the other configurations were scheduled
/// as best known then.
struct GPUTuningEntry {
  GPULoweringConfigAttr lowering; // the fastest, else the cost model's
  GPULoweringConfigAttr model;    // the cost model's
  std::vector<GPULoadTimes> times;
  std::string device; // "NVIDIA H200"
  std::string date;
};

class TuningCache {
public:
  /// An empty one, of the machine that LLVM calls so.
  explicit TuningCache(std::string machine) : machine(std::move(machine)) {}

  /// Errors name the file, the field, what was expected and what came.
  static llvm::Expected<TuningCache> read(StringRef path, MLIRContext *context);
  llvm::Error write(StringRef path) const;

  /// LLVM's name of the CPU that was measured on.
  StringRef getMachine() const { return machine; }
  /// Null where nothing was measured.
  const TuningEntry *find(const TuningKey &key) const;
  void set(const TuningKey &key, TuningEntry entry) {
    entries[key] = std::move(entry);
  }
  size_t size() const { return entries.size(); }

  /// Of a GPU, whose key names a chip.
  const GPUTuningEntry *findGPU(const TuningKey &key) const;
  void setGPU(const TuningKey &key, GPUTuningEntry entry) {
    gpuEntries[key] = std::move(entry);
  }
  /// What a library of these chips, the latest last, is launched by: the entry
  /// of the latest that has one, and that chip. Null where none has.
  std::pair<const GPUTuningEntry *, StringRef>
  findLatest(LookupGroupInterface group, ArrayRef<std::string> chips,
             const SymbolTable &symbols) const;
  size_t sizeOfGPU() const { return gpuEntries.size(); }
  /// CPU entries are another machine's no more: there are none.
  void setMachine(std::string name) { machine = std::move(name); }

private:
  std::string machine;
  std::map<TuningKey, TuningEntry> entries;
  std::map<TuningKey, GPUTuningEntry> gpuEntries;
};

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_TUNINGCACHE_H
