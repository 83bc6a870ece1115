//===- SelectGPULowering.cpp - Choose how groups will be run on a GPU -----===//
//
// The only place that decides on a GPU's schedule; `convert-trec-to-gpu` obeys.
//
//   trec.embedding_bag_group sum … rows !trec.row<128, int8, …> bounds warning
//
// becomes
//
//   … gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 8>
//
//===----------------------------------------------------------------------===//

#include "trec/IR/RowUnits.h"
#include "trec/Transforms/Passes.h"

namespace mlir::trec {
#define GEN_PASS_DEF_SELECTGPULOWERINGPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

/// Columns that a lane sums, and words of rows in flight that it holds: what 64
/// registers have room for besides addresses, ids and headers.
static constexpr int64_t kMaxColumns = 16, kMaxWords = 16;
/// More rows in flight than this gain nothing: their ids are too few.
static constexpr int64_t kMaxRows = 8;
static constexpr int64_t kWarpLanes = 32;

/// Units that each of `lanes` sums in one pass over a bag. Where one pass is
/// not enough, passes are of like width.
static int64_t getUnitsPerLane(const RowUnits &units, int64_t lanes) {
  int64_t most = std::max<int64_t>(kMaxColumns / units.columns, 1);
  int64_t all = llvm::divideCeil(units.count, lanes);
  return llvm::divideCeil(all, llvm::divideCeil(all, most));
}

/// Units that all lanes could sum in the passes that a row takes.
static int64_t getRoom(const RowUnits &units, int64_t lanes) {
  int64_t perPass = lanes * getUnitsPerLane(units, lanes);
  return llvm::alignTo(units.count, perPass);
}

/// As many lanes as leave the fewest idle, and of those the most. One pass over
/// a bag is worth more than busy lanes: each reads all headers again.
static int64_t selectLanes(const RowUnits &units) {
  int64_t best = kWarpLanes;
  for (int64_t lanes = kWarpLanes / 2; lanes > 0; lanes /= 2) {
    int64_t perPass = lanes * getUnitsPerLane(units, lanes);
    if (perPass >= units.count && getRoom(units, lanes) < getRoom(units, best))
      best = lanes;
  }
  return best;
}

static GPULoweringConfigAttr selectLowering(RowType row, GPUNumerics numerics) {
  RowUnits units = RowUnits::of(row);
  int64_t lanes = selectLanes(units);
  int64_t perLane = getUnitsPerLane(units, lanes);
  int64_t rows = kMaxWords / (perLane * units.getWords());
  return GPULoweringConfigAttr::get(row.getContext(), lanes, perLane,
                                    std::clamp<int64_t>(rows, 1, kMaxRows),
                                    /*warps=*/4, /*blocks_per_sm=*/8, numerics);
}

namespace {

struct SelectGPULoweringPass
    : public trec::impl::SelectGPULoweringPassBase<SelectGPULoweringPass> {
  using SelectGPULoweringPassBase::SelectGPULoweringPassBase;

  void runOnOperation() override {
    std::optional<GPUNumerics> whose = symbolizeGPUNumerics(numerics);
    if (!whose) {
      getOperation().emitError()
          << "expected numerics of fbgemm or cpu, got '" << numerics << "'";
      return signalPassFailure();
    }
    getOperation().walk([&](LookupGroupInterface group) {
      if (group.getGpuLoweringAttr()) {
        ++numKept;
        return;
      }
      group.setGpuLoweringAttr(selectLowering(group.getRowType(), *whose));
      ++numSelected;
    });
  }
};

} // namespace
