//===- GPULoweringSpace.h - What else a GPU's lowering may be ---*- C++ -*-===//
//
// What LoweringSpace.h is for CPUs: the schedules that are worth measuring for
// a group on a GPU, field by field. `warps` and `blocks_per_sm` are of the one
// kernel that all groups of a model share, and are not searched.
//
//   for (GPULoweringField field : getGPULoweringFields())
//     for (GPULoweringConfigAttr other : listAlternatives(configuration,
//     field))
//       measure(other);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_GPULOWERINGSPACE_H
#define TREC_TRANSFORMS_GPULOWERINGSPACE_H

#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

/// A field of `#trec.gpu_lowering_config` that a tuner may change.
enum class GPULoweringField {
  lanes,
  rowsInFlight,
  unitsPerLane,
  stages,
  fewLanes,
  fewRowsInFlight,
  fewUnitsPerLane,
  fewStages,
  evictFirst,
  bagParts
};

/// All of them in the order in which they are searched.
ArrayRef<GPULoweringField> getGPULoweringFields();

/// The field as it is written in the attribute.
StringRef stringifyLoweringField(GPULoweringField field);

/// Lowerings that differ in this field from that of the configuration:
///
/// * `lanes`: powers of two, as far as a row has units for them, with as many
///   units as then make the fewest passes over a bag;
/// * `bag_parts`: 2, 4, 8, as far as there are lanes, each with 3, 5 and 8 rows
///   in flight; only where numerics are relaxed and rows are pooled;
/// * `rows_in_flight`: 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, as far as a
///   lane holds no more than 32 words of them; where every bag is promised to
///   have one length that too, up to 48 words;
/// * `units_per_lane`: those of one to four passes over a bag;
/// * `stages`: 0, 2, 3, 4, 6, 8, where rows are pooled in one pass and shared
///   memory has room for them. Rows in flight are then even and no more than
///   lanes;
/// * `evict_first`: the other one, where rows come into registers;
/// * `few_*`: the same for launches of few bags, where rows are pooled.
///
/// What another value of a field does not go with is adapted: as many stages as
/// there is room for, none where there is none.
SmallVector<GPULoweringConfigAttr>
listAlternatives(const BagConfiguration &configuration, GPULoweringField field);

/// The cost model's lowering with the schedule of one that was measured.
GPULoweringConfigAttr takeSchedule(GPULoweringConfigAttr measured,
                                   GPULoweringConfigAttr model);

/// What kernels cannot have of a configuration's lowering, or nothing.
std::optional<std::string> findMisfit(const BagConfiguration &configuration);

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_GPULOWERINGSPACE_H
