//===- Steps.h - What a block does at a time --------------------*- C++ -*-===//
//
// The code of one configuration: a block works on some bags of its lookup, or
// without pooling on some ids, and then on those that all blocks of the lookup
// have left. Made into a case of the kernel's switch:
//
//   StepResult result = buildBagStep(b, {configuration, idType, lookup, step});
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_STEPS_H
#define TREC_LIB_CONVERSION_TRECTOGPU_STEPS_H

#include "Lookup.h"
#include "trec/Conversion/KernelGeometry.h"

namespace mlir::trec {

/// The steps of a block, i32: where it is, and how many blocks take turns.
struct Step {
  Value index, stride;
};

struct StepInput {
  const BagConfiguration &configuration;
  IntegerType idType;
  const Lookup &lookup;
  Step step;
};

/// What a thread has to tell of a step. Kinds are TREC_GPU_*; what happened at
/// `position` is the lowest of the gravest kind.
struct StepResult {
  Value numBadIds; // i32
  Value kind;      // i32
  Value position;  // i32
  Value hasMore;   // i1, the same for all threads of a block

  SmallVector<Value> getValues() const {
    return {numBadIds, kind, position, hasMore};
  }
};

/// Pools bags, each by a group of lanes.
StepResult buildBagStep(DeviceBuilder &b, const StepInput &input);

/// Writes the rows of ids.
StepResult buildRowStep(DeviceBuilder &b, const StepInput &input);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_STEPS_H
