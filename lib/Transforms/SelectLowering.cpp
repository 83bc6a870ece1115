//===- SelectLowering.cpp - Choose how each group will be run -------------===//
//
// The only place that decides on a schedule; `convert-trec-to-vector` obeys.
// The choice is an attribute, so that it can be read, tested and overridden:
//
//   trec.embedding_bag_group sum … rows !trec.row<128, int8, …> bounds warning
//
// becomes
//
//   … lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16>
//
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/CPULevel.h"
#include "trec/Transforms/Passes.h"

namespace mlir::trec {
#define GEN_PASS_DEF_SELECTLOWERINGPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

/// Rows ahead of the current one that are fetched. Between 12 and 32 the time
/// is flat; 4 is a quarter slower and none at all is twice as slow.
static constexpr int64_t kPrefetchDistance = 16;

/// Registers that an inner loop needs besides its accumulators: codes on their
/// way to floats, scale, bias.
static constexpr int64_t kScratchRegisters = 8;

static LoweringConfigAttr selectLowering(RowType row, const CPULevel &level) {
  int64_t accumulators =
      std::max<int64_t>(level.vectorRegisters - kScratchRegisters, 4);
  return LoweringConfigAttr::get(
      row.getContext(), level.vectorBits / 32, accumulators, kPrefetchDistance,
      level.hasFMA ? FmaMode::hardware : FmaMode::library,
      level.hasF16C ? HalfMode::hardware : HalfMode::integer);
}

namespace {

struct SelectLoweringPass
    : public trec::impl::SelectLoweringPassBase<SelectLoweringPass> {
  using SelectLoweringPassBase::SelectLoweringPassBase;

  void runOnOperation() override {
    const CPULevel *level = findCPULevel(cpu);
    if (!level) {
      getOperation().emitError() << "expected a CPU level of "
                                 << listCPULevels() << ", got '" << cpu << "'";
      return signalPassFailure();
    }
    getOperation().walk([&](LookupGroupInterface group) {
      if (group.getLoweringAttr()) {
        ++numKept;
        return;
      }
      group.setLoweringAttr(selectLowering(group.getRowType(), *level));
      ++numSelected;
    });
  }
};

} // namespace
