//===- SelectLowering.cpp - Choose how each group will be run -------------===//
//
// The only place that decides on a schedule; `convert-trec-to-vector` obeys.
// The choice is an attribute, so that it can be read, tested and overridden:
//
//   trec.embedding_bag_group sum … rows !trec.row<128, int8, …> bounds warning
//
// becomes
//
//   … lowering <vector_width = 16, accumulators = 24, prefetch_distance = 8,
//               far_distance = 64, far_group = 4, certified = bias_once>
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

/// Registers that an inner loop needs besides its accumulators: codes on their
/// way to floats, scale, bias. LLVM's code for NEON loads the codes of many
/// accumulators before it adds the first, and spills where they do not fit.
static int64_t countScratchRegisters(const CPULevel &level) {
  bool isNEON =
      level.architecture == Architecture::aarch64 && level.vectorBits == 128;
  return isNEON ? 16 : 8;
}

namespace {

/// Rows ahead of the current one that are fetched, and how.
struct Prefetch {
  int64_t distance = 0;
  int64_t farDistance = 0;
  int64_t farGroup = 1;
};

} // namespace

/// The bytes of the largest table of a group, as far as they are known.
static int64_t getLargestTable(LookupGroupInterface group,
                               const SymbolTable &symbols) {
  int64_t largest = 0;
  for (BagAttr bag : group.getBags().getAsRange<BagAttr>()) {
    TableType table =
        symbols.lookup<TableOp>(bag.getTable().getValue()).getType();
    if (table.hasDynamicRows())
      return std::numeric_limits<int64_t>::max();
    largest =
        std::max(largest, table.getRows() * table.getRowType().getRowBytes());
  }
  return largest;
}

/// The first level of the cache takes few requests at once, too few for rows
/// that come from memory; the second takes more. So rows of large tables are
/// fetched into the second level as early as it holds them without loss, and
/// into the first a little before they are added; rows of three lines leave in
/// groups. A table that the second level holds needs one fetch alone. An id
/// that is searched for costs a search for each fetch, and a sorted map knows
/// the rows of few ids ahead.
static Prefetch selectPrefetch(LookupGroupInterface group, int64_t tableBytes) {
  constexpr int64_t secondLevelBytes = 1 << 19;
  constexpr int64_t twoLines = 128;
  std::optional<MapKind> map = group.getRemapKind();
  if (map == MapKind::sorted)
    return {/*distance=*/8, /*farDistance=*/0, /*farGroup=*/1};
  if (map == MapKind::hash_table || tableBytes <= secondLevelBytes)
    return {/*distance=*/16, /*farDistance=*/0, /*farGroup=*/1};
  int64_t rowBytes = group.getRowType().getRowBytes();
  return {/*distance=*/8, /*farDistance=*/64,
          /*farGroup=*/rowBytes > twoLines ? 4 : 1};
}

/// Where the CPU permutes as many lanes as the vectors have.
static UnpackMode selectUnpack(RowType row, const CPULevel &level) {
  bool isPacked = row.isQuantized() && row.getBits() < 8;
  bool canPermute =
      level.permutesLanes && (level.vectorBits == 512 || row.getBits() == 2);
  return isPacked && canPermute ? UnpackMode::lookup : UnpackMode::convert;
}

/// Vector operations for each vector of codes of one row, those that bring the
/// codes in left out:
///
///     in_order   unpack, add, multiply-add
///     bias_once  unpack, multiply-add
///     row_pairs  half a permutation, half an add
///
/// A pair of rows also costs the making of its table, a product and a
/// multiply-add, and needs a permutation of 16 lanes. A table of the values of
/// a single row would save nothing: a permutation and an add are as many
/// operations as `bias_once` has, and wait for the table.
static RowArithmetic selectCertified(LookupGroupInterface group,
                                     const CPULevel &level, Numerics numerics) {
  RowType row = group.getRowType();
  bool mayDiffer = numerics == Numerics::relaxed;
  if (!group.getPoolingMode() || !row.isQuantized() ||
      (group.getWeighting() != Weighting::none && !mayDiffer))
    return RowArithmetic::in_order;
  return row.getBits() == 2 && level.permutesLanes && level.vectorBits == 512
             ? RowArithmetic::row_pairs
             : RowArithmetic::bias_once;
}

static LoweringConfigAttr selectLowering(LookupGroupInterface group,
                                         const CPULevel &level,
                                         const SymbolTable &symbols,
                                         Numerics numerics) {
  RowType row = group.getRowType();
  int64_t accumulators = std::max<int64_t>(
      level.vectorRegisters - countScratchRegisters(level), 4);
  Prefetch prefetch = selectPrefetch(group, getLargestTable(group, symbols));
  RowArithmetic certified = selectCertified(group, level, numerics);
  if (certified == RowArithmetic::in_order)
    numerics = Numerics::fbgemm;
  return LoweringConfigAttr::get(
      row.getContext(), level.vectorBits / 32, accumulators, prefetch.distance,
      prefetch.farDistance, prefetch.farGroup, selectUnpack(row, level),
      level.hasFMA ? FmaMode::hardware : FmaMode::library,
      level.convertsHalves ? HalfMode::hardware : HalfMode::integer, certified,
      numerics);
}

/// A lowering that was written by hand must be one that code of the level can
/// be made for.
static LogicalResult checkLowering(LookupGroupInterface group,
                                   const CPULevel &level) {
  LoweringConfigAttr lowering = group.getLoweringAttr();
  bool canPermute =
      level.permutesLanes && lowering.getVectorWidth() * 32 <= level.vectorBits;
  if (lowering.getUnpack() == UnpackMode::lookup && !canPermute)
    return group.emitOpError() << "expected unpack = convert for vectors of "
                               << lowering.getVectorWidth() << " lanes, which "
                               << level.name << " does not permute, got lookup";
  if (lowering.getCertified() == RowArithmetic::row_pairs && !canPermute)
    return group.emitOpError()
           << "expected certified = bias_once for vectors "
              "of "
           << lowering.getVectorWidth() << " lanes, which " << level.name
           << " does not permute, got row_pairs";
  if (lowering.getHalf() == HalfMode::hardware && !level.convertsHalves)
    return group.emitOpError() << "expected half = integer for " << level.name
                               << ", which does not convert half floats, got "
                                  "hardware";
  return success();
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
    std::optional<Numerics> whose = symbolizeNumerics(numerics);
    if (!whose) {
      getOperation().emitError()
          << "expected numerics of fbgemm or relaxed, got '" << numerics << "'";
      return signalPassFailure();
    }
    SymbolTable symbols(getOperation());
    WalkResult result = getOperation().walk([&](LookupGroupInterface group) {
      if (group.getLoweringAttr()) {
        ++numKept;
        return WalkResult(checkLowering(group, *level));
      }
      group.setLoweringAttr(selectLowering(group, *level, symbols, *whose));
      ++numSelected;
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
