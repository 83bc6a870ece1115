//===- ScanKernel.h - The kernel that sums lengths --------------*- C++ -*-===//
//
// Builds `trec_scan_lengths`, which turns the lengths of a batch's bags into
// their offsets; its argument is struct trec_gpu_scan (DeviceABI.h). Each block
// writes its part of the offsets, and sums all lengths in front of them itself:
// no block waits for another, and nothing has to be set up for a launch.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_SCANKERNEL_H
#define TREC_LIB_CONVERSION_TRECTOGPU_SCANKERNEL_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace mlir::trec {

gpu::GPUFuncOp buildScanKernel(OpBuilder &builder, Location loc);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_SCANKERNEL_H
