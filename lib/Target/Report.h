//===- Report.h - What was compiled, as JSON --------------------*- C++ -*-===//
//
// The file of `--report`: per table what one lookup reads, and per level and
// kernel how it is run, why, and how long it is predicted and was measured to
// take; per kernel its schedule and its size; per chip what its kernels need.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TARGET_REPORT_H
#define TREC_LIB_TARGET_REPORT_H

#include "KernelSchedule.h"
#include "trec/Target/EmitObject.h"
#include "trec/Target/Manifest.h"

namespace mlir::trec {

/// The kernels of one CPU level.
struct LevelKernels {
  CPUTarget target;
  std::string suffix; // of the names of its kernels
  std::vector<KernelUnit> units;
  std::vector<KernelSchedule> schedules; // per kernel of the manifest
};

/// The JSON text of the report.
std::string renderReport(const Manifest &manifest,
                         ArrayRef<LevelKernels> levels, const GPUKernels &gpu);

} // namespace mlir::trec

#endif // TREC_LIB_TARGET_REPORT_H
