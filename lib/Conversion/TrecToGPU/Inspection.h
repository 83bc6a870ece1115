//===- Inspection.h - What is wrong with a step -----------------*- C++ -*-===//
//
// Steps tell only whether anything is wrong. Then their ids and offsets are
// looked at again, which is rare: counts and places would take registers from
// every step that is right.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_INSPECTION_H
#define TREC_LIB_CONVERSION_TRECTOGPU_INSPECTION_H

#include "Steps.h"

namespace mlir::trec {

/// What a thread has to tell, all i32. Kinds are TREC_GPU_*; what happened at
/// `position` is the lowest of the gravest kind.
struct Findings {
  Value numBadIds, kind, position;

  SmallVector<Value> getValues() const { return {numBadIds, kind, position}; }
};

/// Of the step that `buildBagStep` or `buildRowStep` makes.
Findings buildInspection(DeviceBuilder &b, const StepInput &input);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_INSPECTION_H
