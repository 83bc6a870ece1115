//===- CompareKernels.h - Which of some kernels is faster -------*- C++ -*-===//
//
// Times kernels against the first of them, in turns: whatever else the machine
// does meets all of them alike. Times are of the thread, not of the clock.
//
//   std::vector<KernelTime> times = compareKernels(lookups, kernels, 0.5);
//   if (times[1].ratio + times[1].error < 1) … // faster than times[0]
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_COMPAREKERNELS_H
#define TREC_LIB_TUNE_COMPAREKERNELS_H

#include "GroupLookups.h"

namespace mlir::trec {

/// What is not worth another schedule, however surely it was measured.
constexpr double kSmallestGain = 0.01;

struct KernelTime {
  double nanoseconds = 0; // of one lookup, the median of all rounds
  double ratio = 1;       // to the first kernel in the same round, likewise
  double error = 0;       // of the ratio: twice its standard error
};

/// Takes so many seconds, and more where they are too few for a median.
std::vector<KernelTime> compareKernels(GroupLookups &lookups,
                                       ArrayRef<KernelPair> kernels,
                                       double seconds);

/// The median of some numbers, and twice its standard error, which is told from
/// the median of the distances to it: single outliers move neither.
std::pair<double, double> findMedian(std::vector<double> numbers);

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_COMPAREKERNELS_H
