//===- KernelGeometry.cpp - How GPU kernels are launched ------------------===//

#include "trec/Conversion/KernelGeometry.h"
#include "trec/IR/RowUnits.h"

using namespace mlir;
using namespace mlir::trec;

bool mlir::trec::hasFewKernels(ArrayRef<BagConfiguration> configurations) {
  return llvm::any_of(configurations, [](const BagConfiguration &c) {
    return c.gpuLowering.getFewLanes() != 0;
  });
}

static bool canShareBags(const BagConfiguration &configuration) {
  return configuration.getForFewBags().gpuLowering.getStages() != 0;
}

int64_t
mlir::trec::getSharedBagsPerBlock(const BagConfiguration &configuration) {
  return canShareBags(configuration)
             ? 1
             : getBagsPerBlock(configuration.getForFewBags());
}

bool mlir::trec::hasSharedKernels(ArrayRef<BagConfiguration> configurations) {
  return llvm::any_of(configurations, canShareBags);
}

BagConfiguration
mlir::trec::getPartOfWarp(const BagConfiguration &configuration) {
  constexpr int64_t warpLanes = 32;
  GPULoweringConfigAttr of = configuration.gpuLowering;
  int64_t rows = of.getRowsInFlight() * (warpLanes / of.getLanes());
  BagConfiguration part = configuration;
  part.gpuLowering = GPULoweringConfigAttr::get(
      of.getContext(), warpLanes, of.getUnitsPerLane(),
      std::min(rows, warpLanes), of.getWarps(), of.getBlocksPerSm(),
      of.getNumerics(), /*few_lanes=*/0, /*few_units_per_lane=*/0,
      /*few_rows_in_flight=*/0, of.getStages(), /*few_stages=*/0,
      /*few_blocks_per_sm=*/0, /*evict_first=*/false, /*bag_parts=*/1);
  return part;
}

int64_t mlir::trec::getThreadsPerBlock(const BagConfiguration &configuration) {
  constexpr int64_t warpLanes = 32;
  return configuration.gpuLowering.getWarps() * warpLanes;
}

int64_t mlir::trec::getSharedBytes(const BagConfiguration &configuration) {
  constexpr int64_t weightBytes = 4, alignment = 16, warpLanes = 32;
  GPULoweringConfigAttr lowering = configuration.gpuLowering;
  int64_t bagsPerWarp = warpLanes / lowering.getLanes();
  int64_t rows = lowering.getStages() * lowering.getRowsInFlight();
  int64_t bytes = getDeviceRowBytes(configuration.row);
  if (configuration.isWeighted())
    bytes += weightBytes;
  return llvm::alignTo(rows * bagsPerWarp * bytes, alignment) *
         lowering.getWarps();
}

std::optional<std::string>
mlir::trec::findScheduleMisfit(const BagConfiguration &configuration) {
  GPULoweringConfigAttr lowering = configuration.gpuLowering;
  int64_t units = lowering.getLanes() * lowering.getUnitsPerLane();
  if (!configuration.pooling && lowering.getBagParts() > 1)
    return "expected no parts but of bags that are pooled, got " +
           std::to_string(lowering.getBagParts());
  if (lowering.getStages() == 0)
    return std::nullopt;
  if (!configuration.pooling || units < RowUnits::of(configuration.row).count)
    return "expected no stages but for rows that are pooled in one pass, got " +
           std::to_string(lowering.getStages());
  int64_t bytes = getSharedBytes(configuration);
  if (bytes <= kMaxSharedBytes)
    return std::nullopt;
  return "expected stages of at most " + std::to_string(kMaxSharedBytes) +
         " bytes for a block, got " + std::to_string(bytes);
}

int64_t mlir::trec::getBagsPerBlock(const BagConfiguration &configuration) {
  GPULoweringConfigAttr lowering = configuration.gpuLowering;
  int64_t groups =
      getThreadsPerBlock(configuration) / lowering.getLanesPerBag();
  return configuration.pooling ? groups : groups * lowering.getRowsInFlight();
}
