//===- Report.h - What was compiled, as JSON --------------------*- C++ -*-===//
//
// The file of `--report`: per table its kernel and what one lookup reads, per
// kernel its schedule and its size, per chip what its kernels need.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TARGET_REPORT_H
#define TREC_LIB_TARGET_REPORT_H

#include "trec/Target/EmitObject.h"
#include "trec/Target/Manifest.h"

namespace mlir::trec {

/// The kernels of one CPU level.
struct LevelKernels {
  CPUTarget target;
  std::string suffix; // of the names of its kernels
  std::vector<KernelUnit> units;
  std::vector<LoweringConfigAttr> lowerings; // per kernel of the manifest
};

/// The JSON text of the report.
std::string renderReport(const Manifest &manifest,
                         ArrayRef<LevelKernels> levels, const GPUKernels &gpu);

} // namespace mlir::trec

#endif // TREC_LIB_TARGET_REPORT_H
