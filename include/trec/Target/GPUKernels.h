//===- GPUKernels.h - All of a model's code for GPUs ------------*- C++ -*-===//
//
// What the image, the metadata and the report say of GPUs. Empty where a model
// is compiled for CPUs alone.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_GPUKERNELS_H
#define TREC_TARGET_GPUKERNELS_H

#include "trec/Conversion/KernelGeometry.h"
#include "trec/Target/GPUBinary.h"
#include "trec/Transforms/TuningCache.h"

namespace mlir::trec {

struct GPUKernels {
  std::vector<GPUBinary> binaries;              // the earliest chip first
  std::vector<BagConfiguration> configurations; // per kernel of the manifest
  /// What was measured of each; missing: the cost model chose.
  std::vector<std::optional<GPUTuningEntry>> measured;

  bool empty() const { return binaries.empty(); }
  GPUNumerics getNumerics() const {
    return configurations.front().gpuLowering.getNumerics();
  }
};

} // namespace mlir::trec

#endif // TREC_TARGET_GPUKERNELS_H
