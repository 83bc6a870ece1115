//===- SearchGPULowering.h - The fastest lowering on a GPU ------*- C++ -*-===//
//
// As SearchLowering.h, for one configuration of a model that is launched whole,
// under several loads: what is faster for few bags may be slower for many.
//
//   GPULoweringSearch search(configuration, compare);
//   FailureOr<GPUTuningEntry> entry = search.run(onField);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_SEARCHGPULOWERING_H
#define TREC_LIB_TUNE_SEARCHGPULOWERING_H

#include "trec/Conversion/BagConfiguration.h"
#include "trec/Transforms/TuningCache.h"

#include <functional>

namespace mlir::trec {

/// Of calls of a model with one candidate, under one load.
struct CallTime {
  double microseconds = 0; // of a call, the median of all rounds
  double ratio = 1;        // to the first candidate in the same round, likewise
  double error = 0;        // of the ratio: twice its standard error
};

class GPULoweringSearch {
public:
  using CandidateTimes = std::vector<CallTime>; // by load
  /// Compiles and times candidates in turns, and fails where the bits of one
  /// are others, or where it cannot be run.
  using Compare = std::function<FailureOr<std::vector<CandidateTimes>>(
      ArrayRef<GPULoweringConfigAttr>)>;

  /// `configuration` has the cost model's lowering.
  GPULoweringSearch(const BagConfiguration &configuration, Compare compare)
      : configuration(configuration), compare(std::move(compare)) {}

  /// Takes another lowering only where it is faster under one load, and slower
  /// under none, by more than the noise. The entry's loads have no names yet.
  FailureOr<GPUTuningEntry>
  run(const std::function<void(StringRef field)> &onField);

private:
  FailureOr<GPULoweringConfigAttr>
  improve(GPULoweringConfigAttr best, ArrayRef<GPULoweringConfigAttr> others);
  FailureOr<GPUTuningEntry> confirm(GPULoweringConfigAttr best);

  BagConfiguration configuration;
  Compare compare;
};

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_SEARCHGPULOWERING_H
