//===- Steps.h - What a block does at a time --------------------*- C++ -*-===//
//
// The code of one configuration: a block works on some bags of its lookup, or
// without pooling on some ids. Made into a case of the kernel's switch:
//
//   Value isWrong = buildBagStep(b, {configuration, idType, lookup, step,
//   shared});
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
  Value shared;  // address of the block's shared memory, an i64; null: none
  bool isShared; // the block works on one bag, and all its warps share it
};

/// Pools the bags of one step, each by a group of lanes. The host launches as
/// many blocks as there are steps. An i1: whether the thread has met anything
/// that is wrong.
Value buildBagStep(DeviceBuilder &b, const StepInput &input);

/// The same, by way of stages in shared memory; where the bag is shared, by all
/// threads of the block.
Value buildStagedBagStep(DeviceBuilder &b, const StepInput &input);

/// Writes the rows of ids, of every step that is the block's: how many ids a
/// lookup has is known on the device alone. An i1, as above.
Value buildRowStep(DeviceBuilder &b, const StepInput &input);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_STEPS_H
