//===- SearchLowering.h - The fastest lowering of one group -----*- C++ -*-===//
//
// Searches one field of the lowering after the other, each from the best that
// was found so far, and puts the winner against the cost model's choice once
// more, with ids that it was not chosen by:
//
//   LoweringSearch search(group, target, lookups, seconds);
//   FailureOr<TuningEntry> entry = search.run(model, size, onField);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_SEARCHLOWERING_H
#define TREC_LIB_TUNE_SEARCHLOWERING_H

#include "CompareKernels.h"
#include "trec/Transforms/TuningCache.h"

#include <functional>

namespace mlir::trec {

class LoweringSearch {
public:
  /// `seconds` are those of one comparison.
  LoweringSearch(LookupGroupInterface group, const CPUTarget &target,
                 GroupLookups &lookups, double seconds)
      : group(group), target(target), lookups(lookups), seconds(seconds) {}

  /// Starts from the cost model's choice. Emits diagnostics and fails where
  /// kernels cannot be compiled, or do not give the same bits. `onField` is
  /// told of each field before it is searched.
  FailureOr<TuningEntry>
  run(LoweringConfigAttr model, SizeClass size,
      const std::function<void(StringRef field)> &onField);

private:
  FailureOr<std::vector<KernelTime>>
  compare(ArrayRef<LoweringConfigAttr> lowerings);
  LogicalResult checkBits(const CandidateKernels &kernels,
                          ArrayRef<LoweringConfigAttr> lowerings);
  FailureOr<LoweringConfigAttr> improve(LoweringConfigAttr best,
                                        ArrayRef<LoweringConfigAttr> others);
  FailureOr<TuningEntry> confirm(LoweringConfigAttr model,
                                 LoweringConfigAttr best);

  LookupGroupInterface group;
  const CPUTarget &target;
  GroupLookups &lookups;
  double seconds;
};

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_SEARCHLOWERING_H
