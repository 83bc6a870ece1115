//===- SearchGPULowering.cpp - The fastest lowering on a GPU --------------===//

#include "SearchGPULowering.h"

#include "CompareKernels.h"
#include "trec/Transforms/GPULoweringSpace.h"

using namespace mlir;
using namespace mlir::trec;

using CandidateTimes = GPULoweringSearch::CandidateTimes;

/// Whether some load is faster and none is slower, by more than its noise.
static bool isFaster(ArrayRef<CallTime> times, ArrayRef<double> noise) {
  bool isFaster = false;
  for (auto [time, least] : llvm::zip_equal(times, noise)) {
    double gain = 1 - time.ratio;
    if (gain < -std::max(kSmallestGain, least))
      return false;
    isFaster |= gain > std::max(kSmallestGain, least);
  }
  return isFaster;
}

/// Of all loads alike, whatever their calls take.
static double getMeanRatio(ArrayRef<CallTime> times) {
  double product = 1;
  for (const CallTime &time : times)
    product *= time.ratio;
  return std::pow(product, 1 / double(times.size()));
}

/// The fastest of `others`, where it is faster than `best`.
FailureOr<GPULoweringConfigAttr>
GPULoweringSearch::improve(GPULoweringConfigAttr best,
                           ArrayRef<GPULoweringConfigAttr> others) {
  SmallVector<GPULoweringConfigAttr> lowerings = {best};
  llvm::append_range(lowerings, others);
  FailureOr<std::vector<CandidateTimes>> times = compare(lowerings);
  if (failed(times))
    return failure();
  double least = 1;
  for (auto [lowering, time] : llvm::zip_equal(lowerings, *times)) {
    SmallVector<double> noise = llvm::map_to_vector(
        time, [](const CallTime &load) { return load.error; });
    if (double ratio = getMeanRatio(time);
        ratio < least && isFaster(time, noise)) {
      best = lowering;
      least = ratio;
    }
  }
  return best;
}

/// Against the cost model's choice and a copy of it: code of one lowering
/// differs too, by where it and its batches lie.
FailureOr<GPUTuningEntry>
GPULoweringSearch::confirm(GPULoweringConfigAttr best) {
  GPULoweringConfigAttr model = configuration.gpuLowering;
  SmallVector<GPULoweringConfigAttr> lowerings = {model, model};
  if (best != model)
    lowerings.push_back(best);
  FailureOr<std::vector<CandidateTimes>> times = compare(lowerings);
  if (failed(times))
    return failure();
  GPUTuningEntry entry;
  entry.lowering = entry.model = model;
  SmallVector<double> noise;
  for (auto [first, copy, last] :
       llvm::zip_equal((*times)[0], (*times)[1], times->back())) {
    noise.push_back(
        std::max({std::abs(1 - copy.ratio), copy.error, last.error}));
    entry.times.push_back(
        {"", first.microseconds, first.microseconds, noise.back()});
  }
  if (best == model || !isFaster(times->back(), noise))
    return entry;
  entry.lowering = best;
  for (auto [told, last] : llvm::zip_equal(entry.times, times->back()))
    told.tuned *= last.ratio;
  return entry;
}

FailureOr<GPUTuningEntry>
GPULoweringSearch::run(const std::function<void(StringRef field)> &onField) {
  BagConfiguration candidate = configuration;
  for (GPULoweringField field : getGPULoweringFields()) {
    onField(stringifyLoweringField(field));
    SmallVector<GPULoweringConfigAttr> others =
        listAlternatives(candidate, field);
    if (others.empty())
      continue;
    FailureOr<GPULoweringConfigAttr> better =
        improve(candidate.gpuLowering, others);
    if (failed(better))
      return failure();
    candidate.gpuLowering = *better;
  }
  onField("comparing with the cost model");
  return confirm(candidate.gpuLowering);
}
