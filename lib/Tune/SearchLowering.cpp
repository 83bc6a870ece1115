//===- SearchLowering.cpp - The fastest lowering of one group -------------===//

#include "SearchLowering.h"

#include "trec/Transforms/LoweringSpace.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::trec;

/// No lowering changes a bit: a kernel that does is wrong, and its time says
/// nothing.
LogicalResult
LoweringSearch::checkBits(const CandidateKernels &kernels,
                          ArrayRef<LoweringConfigAttr> lowerings) {
  size_t batch = lookups.getNumBatches() - 1;
  lookups.clearOutputs();
  lookups.run(kernels.get(0), batch);
  std::vector<std::vector<uint8_t>> expected = lookups.getOutputs().vec();
  for (size_t i = 1; i < lowerings.size(); ++i) {
    lookups.clearOutputs();
    lookups.run(kernels.get(i), batch);
    if (lookups.getOutputs() != ArrayRef(expected))
      return group->emitError()
             << "expected the outputs of " << lowerings[0] << " from "
             << lowerings[i] << " too, got other bits";
  }
  return success();
}

FailureOr<std::vector<KernelTime>>
LoweringSearch::compare(ArrayRef<LoweringConfigAttr> lowerings) {
  FailureOr<CandidateKernels> kernels =
      CandidateKernels::compile(group, lowerings, target);
  if (failed(kernels) || failed(checkBits(*kernels, lowerings)))
    return failure();
  SmallVector<KernelPair> pairs;
  for (size_t i = 0; i < lowerings.size(); ++i)
    pairs.push_back(kernels->get(i));
  return compareKernels(lookups, pairs, seconds);
}

/// The fastest of `others`, where it is faster than `best`.
FailureOr<LoweringConfigAttr>
LoweringSearch::improve(LoweringConfigAttr best,
                        ArrayRef<LoweringConfigAttr> others) {
  SmallVector<LoweringConfigAttr> lowerings = {best};
  llvm::append_range(lowerings, others);
  FailureOr<std::vector<KernelTime>> times = compare(lowerings);
  if (failed(times))
    return failure();
  auto fastest =
      llvm::min_element(*times, [](const KernelTime &a, const KernelTime &b) {
        return a.ratio < b.ratio;
      });
  double gain = 1 - fastest->ratio;
  return gain > std::max(kSmallestGain, fastest->error)
             ? lowerings[fastest - times->begin()]
             : best;
}

/// Against the cost model's choice and a copy of it: kernels of one lowering
/// differ too, by where they and their ids lie.
FailureOr<TuningEntry> LoweringSearch::confirm(LoweringConfigAttr model,
                                               LoweringConfigAttr best) {
  SmallVector<LoweringConfigAttr> lowerings = {model, model};
  if (best != model)
    lowerings.push_back(best);
  FailureOr<std::vector<KernelTime>> times = compare(lowerings);
  if (failed(times))
    return failure();
  const KernelTime &copy = (*times)[1], &last = times->back();
  TuningEntry entry;
  entry.lowering = entry.model = model;
  entry.noise = std::max({std::abs(1 - copy.ratio), copy.error, last.error});
  entry.modelNanoseconds = entry.tunedNanoseconds = times->front().nanoseconds;
  if (best != model && 1 - last.ratio > std::max(kSmallestGain, entry.noise)) {
    entry.lowering = best;
    entry.tunedNanoseconds *= last.ratio;
  }
  return entry;
}

FailureOr<TuningEntry>
LoweringSearch::run(LoweringConfigAttr model, SizeClass size,
                    const std::function<void(StringRef field)> &onField) {
  LoweringSubject subject{group.getRowType(), group.getRemapKind(), size,
                          target.level, group.getOutputElement().isInteger(8)};
  LoweringConfigAttr best = model;
  for (LoweringField field : getLoweringFields()) {
    onField(stringifyLoweringField(field));
    SmallVector<LoweringConfigAttr> others =
        listAlternatives(subject, field, best);
    if (others.empty())
      continue;
    FailureOr<LoweringConfigAttr> better = improve(best, others);
    if (failed(better))
      return failure();
    best = *better;
  }
  onField("comparing with the cost model");
  return confirm(model, best);
}
