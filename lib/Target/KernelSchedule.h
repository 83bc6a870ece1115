//===- KernelSchedule.h - How a kernel is run, and why ----------*- C++ -*-===//
//
// What the report says of the lowering of each group, read off the module at
// the `group` stage:
//
//   std::vector<KernelSchedule> schedules = readSchedules(module, level,
//   cache);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TARGET_KERNELSCHEDULE_H
#define TREC_LIB_TARGET_KERNELSCHEDULE_H

#include "trec/Transforms/TuningCache.h"

#include "mlir/IR/BuiltinOps.h"

namespace mlir::trec {

/// The lowering of one kernel, with what spoke for it.
struct KernelSchedule {
  LoweringConfigAttr lowering;
  SizeClass size; // of its largest table
  SmallVector<std::string> reasons;
  std::optional<TuningEntry> measured; // missing: the cost model chose
};

/// Of each group, in the order of the manifest's kernels. `cache` is null where
/// nothing was measured.
std::vector<KernelSchedule>
readSchedules(ModuleOp module, const CPULevel &level, const TuningCache *cache);

} // namespace mlir::trec

#endif // TREC_LIB_TARGET_KERNELSCHEDULE_H
