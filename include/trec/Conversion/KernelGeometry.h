//===- KernelGeometry.h - How GPU kernels are launched ----------*- C++ -*-===//
//
// What the host has to know of the kernels that `convert-trec-to-gpu` makes,
// the contents of struct trec_gpu_image and trec_gpu_kernel_desc (DeviceABI.h):
//
//   int64_t bags = getBagsPerBlock(BagConfiguration::of(group));
//
//===----------------------------------------------------------------------===//

#ifndef TREC_CONVERSION_KERNELGEOMETRY_H
#define TREC_CONVERSION_KERNELGEOMETRY_H

#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

/// The symbol of the gpu.module.
constexpr StringLiteral kGPUModuleName = "trec_gpu";

constexpr int64_t kScanThreadsPerBlock = 256;
constexpr int64_t kScanLengthsPerBlock = 8 * kScanThreadsPerBlock;

/// Samples, or without pooling ids, that one block works on at a time.
int64_t getBagsPerBlock(const BagConfiguration &configuration);

/// Whether any configuration is scheduled otherwise for few bags, so that there
/// are kernels of their own for them: in one with the others they would take
/// registers from those.
bool hasFewKernels(ArrayRef<BagConfiguration> configurations);

/// The same of the kernels whose blocks share bags, where there are so few that
/// each has a block: 1 of rows that come to stages, others are not shared.
int64_t getSharedBagsPerBlock(const BagConfiguration &configuration);

/// Whether any configuration has bags that blocks can share, so that there are
/// kernels for that.
bool hasSharedKernels(ArrayRef<BagConfiguration> configurations);

/// The part of one warp in a bag that all of a block share: as many rows as
/// shared memory holds of those of its bags.
BagConfiguration getPartOfWarp(const BagConfiguration &configuration);

/// Shared memory of a block: for the stages of its warps, behind which each has
/// the weights of their rows. No more than `kMaxSharedBytes`.
int64_t getSharedBytes(const BagConfiguration &configuration);
constexpr int64_t kMaxSharedBytes = 48 * 1024;

/// What a kernel cannot have of its schedule, as a message; nothing where it
/// can.
std::optional<std::string>
findScheduleMisfit(const BagConfiguration &configuration);

/// Threads of a block of the forward kernels.
int64_t getThreadsPerBlock(const BagConfiguration &configuration);

} // namespace mlir::trec

#endif // TREC_CONVERSION_KERNELGEOMETRY_H
