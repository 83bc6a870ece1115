//===- LoweringSpace.h - What else a lowering may be ------------*- C++ -*-===//
//
// The one place that says which schedules are worth measuring for a group. It
// is no grid: the fields are searched one after the other, each with the few
// values that change the code and may pay for these rows and tables.
//
//   for (LoweringField field : getLoweringFields())
//     for (LoweringConfigAttr other : listAlternatives(group, field, best, …))
//       measure(other);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_LOWERINGSPACE_H
#define TREC_TRANSFORMS_LOWERINGSPACE_H

#include "trec/Transforms/SelectLowering.h"

namespace mlir::trec {

/// A field of `#trec.lowering_config` that a tuner may change. The others say
/// what is computed or what the CPU has.
enum class LoweringField {
  farDistance,
  rowsAtOnce,
  farGroup,
  prefetchDistance,
  unpack,
  header,
  accumulators,
  vectorWidth
};

/// All of them in the order in which they are searched: what decides most
/// first.
ArrayRef<LoweringField> getLoweringFields();

/// The field as it is written in the attribute.
StringRef stringifyLoweringField(LoweringField field);

/// A whole lowering, of a CPU or a GPU, as it is written in IR and in a tuning
/// cache.
std::string stringifyLowering(Attribute lowering);

/// The value of one field.
int64_t getField(LoweringConfigAttr lowering, LoweringField field);

/// `lowering` with another value of one field.
LoweringConfigAttr withField(LoweringConfigAttr lowering, LoweringField field,
                             int64_t value);

/// What alternatives depend on besides the lowering at hand.
struct LoweringSubject {
  RowType row;
  std::optional<MapKind> remap;
  SizeClass size;
  const CPULevel *level;
  bool copiesRows = false; // hands out stored rows: there is no arithmetic
};

/// Lowerings that differ from `lowering` in this field and give other code:
///
/// * `far_distance`: 0, 32, 64, 128, where tables are above the second level
///   and ids are not searched for;
/// * `rows_at_once`: 1, 2, 4, 8, where ids are rows;
/// * `far_group`: 1, 4, 16, 64, where anything is fetched far ahead and rows
///   are taken one by one; never 0, which one machine has no need of;
/// * `prefetch_distance`: 4, 8, 16, 32, up to 8 for a sorted map; 0 where rows
///   are fetched far ahead or lie in the second level;
/// * `unpack`: the others, as far as the level can look codes up, or shift each
///   lane by a number of its own;
/// * `header`: the other, where rows have headers and the level can store them;
/// * `accumulators`: those of one to four passes over a bag, as far as the
///   level has registers;
/// * `vector_width`: the level's vectors and half of them, where a row has so
///   many lanes.
///
/// Of rows that are copied `unpack`, `header` and `accumulators` change
/// nothing.
SmallVector<LoweringConfigAttr> listAlternatives(const LoweringSubject &subject,
                                                 LoweringField field,
                                                 LoweringConfigAttr lowering);

/// The cost model's lowering with the schedule of one that was measured. What
/// is computed stays the cost model's.
LoweringConfigAttr takeSchedule(LoweringConfigAttr measured,
                                LoweringConfigAttr model);

/// What the level lacks for a measured schedule, or nothing.
std::optional<std::string> findMisfit(LoweringConfigAttr measured, RowType row,
                                      const CPULevel &level);

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_LOWERINGSPACE_H
