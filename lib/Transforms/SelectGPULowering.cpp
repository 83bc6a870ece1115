//===- SelectGPULowering.cpp - Choose how groups will be run on a GPU -----===//
//
// The only place that decides on a GPU's schedule; `convert-trec-to-gpu` obeys.
//
//   trec.embedding_bag_group sum … rows !trec.row<128, int8, …> bounds warning
//
// becomes
//
//   … gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4,
//                   few_lanes = 32, few_units_per_lane = 1,
//                   few_rows_in_flight = 16, few_stages = 2>
//
//===----------------------------------------------------------------------===//

#include "trec/IR/RowUnits.h"
#include "trec/Transforms/GPULoweringSpace.h"
#include "trec/Transforms/LoweringSpace.h"
#include "trec/Transforms/Passes.h"
#include "trec/Transforms/TuningCache.h"

#include "llvm/ADT/StringExtras.h"

namespace mlir::trec {
#define GEN_PASS_DEF_SELECTGPULOWERINGPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

/// Columns that a lane sums: what 64 registers have room for besides words of
/// rows in flight, addresses, ids and headers.
static constexpr int64_t kMaxColumns = 16;
/// Words of rows in flight that a lane holds. Loads of 16 bytes are worth more
/// of them, and so is everything that has no sums to keep, or where there are
/// few bags, none of which may have to wait.
static constexpr int64_t kMaxWordsOfCodes = 8, kMaxWords = 16;
/// More rows in flight than this gain nothing: their ids are too few.
static constexpr int64_t kMaxRows = 8, kMaxRowsOfFew = 16;
static constexpr int64_t kWarpLanes = 32;
static constexpr int64_t kWarps = 4, kBlocksPerSm = 8;
/// Of a promised length the most rows of a bag that are all in flight, and
/// the least that are worth a schedule of their own.
static constexpr int64_t kMaxPromisedRows = 20, kMinPromisedRows = 9;
/// Fewer lanes hold ids and headers of more rows each.
static constexpr int64_t kMinPromisedLanes = 8, kMinLeanLanes = 16;
/// Where all rows are in flight there is no loop, and little to keep besides
/// their words: 40 registers have room for 20 words and the sums of one unit,
/// 48 for two ids and headers of each lane besides, 72 for twice as many words.
static constexpr int64_t kLeanBlocksPerSm = 12, kHalfWarpBlocksPerSm = 10,
                         kWideBlocksPerSm = 7;
/// Rows that gain by a schedule of their own: of so many words of INT8 codes,
/// which a lane each sums with the fewest registers that there can be, and of
/// so many units of FP16 or INT4, of which this many rows are in flight.
static constexpr int64_t kMinThinWords = 8, kMaxThinWords = 16, kThinRows = 8,
                         kThinBlocksPerSm = 16;
static constexpr int64_t kNarrowUnits = 4, kNarrowRows = 10;
/// Blocks of other rows of codes that are pooled in one pass: few words leave
/// registers for more, where as many lanes share the columns.
static constexpr int64_t kCodesBlocksPerSm = 10, kMinCodesLanes = 4;
/// Bytes of rows that are the first to leave the cache: wider ones gain
/// nothing, and lose where ids come again.
static constexpr int64_t kMaxEvictedFirst = 192;
/// Where a model has more groups, of kernels for few bags.
static constexpr int64_t kMaxBoundGroups = 3, kFewBlocksPerSm = 5;
/// Stages of a block: with more, fewer than eight blocks would find room on a
/// multiprocessor of 228 KiB, which keeps 1 KiB for each.
static constexpr int64_t kMaxStageBytes = 27 * 1024 + 512;
/// Rows of a bag in all stages: more take room from the first level of the
/// cache, and stages of few rows take long to walk through.
static constexpr int64_t kMaxStagedRows = 32;
static constexpr int64_t kMinRowsOfStage = 4;

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

/// As many lanes, `most` at most, as leave the fewest idle, and of those the
/// most. One pass over a bag is worth more than busy lanes: each reads all
/// headers again.
static int64_t selectLanes(const RowUnits &units, int64_t most) {
  int64_t best = most;
  for (int64_t lanes = most / 2; lanes > 0; lanes /= 2) {
    int64_t perPass = lanes * getUnitsPerLane(units, lanes);
    if (perPass >= units.count && getRoom(units, lanes) < getRoom(units, best))
      best = lanes;
  }
  return best;
}

/// Two units for each lane of a wide row: what is done once for a row and a
/// lane (an id, an address, a header) is then done for more bags at a time. Of
/// rows of codes that are pooled and wider still, as many as a lane can sum:
/// not in a kernel of several groups, whose registers do not suffice. Rows that
/// are only written gain by lanes, up to half a warp where it can hold them.
static int64_t getMostLanes(const RowUnits &units, bool isPooled,
                            int64_t numGroups) {
  int64_t count = llvm::PowerOf2Ceil(units.count);
  bool isOfCodes = units.getWords() == 1;
  if (2 * units.columns > kMaxColumns)
    return kWarpLanes;
  int64_t allColumns = count * units.columns / kMaxColumns;
  if (isOfCodes && isPooled && numGroups == 1 && count >= kWarpLanes)
    return std::min(allColumns, kWarpLanes);
  int64_t least = isOfCodes && !isPooled ? 8 : 4;
  int64_t most =
      isOfCodes && allColumns <= kWarpLanes / 2 ? kWarpLanes / 2 : kWarpLanes;
  return std::clamp(count / 2, least, most);
}

static int64_t selectRows(const RowUnits &units, int64_t unitsPerLane,
                          int64_t maxWords, int64_t maxRows) {
  int64_t rows = maxWords / (unitsPerLane * units.getWords());
  return std::clamp<int64_t>(rows, 1, maxRows);
}

namespace {

/// How rows come in where there are few bags.
struct FewSchedule {
  int64_t lanes, unitsPerLane, rows, stages;
  int64_t blocksPerSm; // 0: as many as otherwise
};

} // namespace

/// The most rows in a stage that leave room for two. A stage has no more rows
/// than lanes; a row that is pooled in several passes has none.
static void selectStages(LookupGroupInterface group, FewSchedule &few) {
  RowType row = group.getRowType();
  constexpr int64_t weightBytes = 4;
  int64_t bytes = getDeviceRowBytes(row);
  if (group.getWeighting() != Weighting::none)
    bytes += weightBytes;
  bytes *= kWarps * kWarpLanes / few.lanes;
  if (few.lanes * few.unitsPerLane < RowUnits::of(row).count)
    return;
  for (int64_t rows = kMaxRowsOfFew; rows >= kMinRowsOfStage; rows /= 2) {
    int64_t stages = std::min(kMaxStageBytes / bytes, kMaxStagedRows) / rows;
    if (rows > few.lanes || stages < 2)
      continue;
    few.rows = rows;
    few.stages = stages;
    return;
  }
}

/// 64 registers are too few for kernels of few bags with many cases: of 24
/// cases they spilled some 70 words, which took 1.1 to 1.4 times as long. Of
/// one case fewer blocks take 1.05 to 1.1 times as long.
static int64_t getFewBlocksPerSm(int64_t numGroups) {
  return numGroups > kMaxBoundGroups ? kFewBlocksPerSm : 0;
}

/// Without pooling no id waits for another.
static FewSchedule selectForFewBags(LookupGroupInterface group,
                                    int64_t numGroups) {
  RowUnits units = RowUnits::of(group.getRowType());
  FewSchedule few = {0, 0, 0, 0, getFewBlocksPerSm(numGroups)};
  if (!group.getPoolingMode())
    return few;
  few.lanes = selectLanes(units, kWarpLanes);
  few.unitsPerLane = getUnitsPerLane(units, few.lanes);
  few.rows = selectRows(units, few.unitsPerLane, kMaxWords, kMaxRowsOfFew);
  selectStages(group, few);
  return few;
}

/// Pooling of rows as they are: what schedules of their own were measured with.
static bool isPlain(const BagConfiguration &c) {
  return c.pooling && !c.isWeighted() && !c.remap;
}

static bool isThin(const BagConfiguration &c) {
  int64_t words = RowUnits::of(c.row).count;
  return isPlain(c) && c.row.getWeights() == WeightsType::int8 &&
         llvm::isPowerOf2_64(words) && words >= kMinThinWords &&
         words <= kMaxThinWords;
}

static bool isNarrow(const BagConfiguration &c) {
  WeightsType weights = c.row.getWeights();
  return isPlain(c) && RowUnits::of(c.row).count == kNarrowUnits &&
         (weights == WeightsType::fp16 || weights == WeightsType::int4);
}

/// Whether all rows of every bag could be in flight, with registers for more
/// blocks than otherwise.
static bool hasPromisedRows(const BagConfiguration &c) {
  RowUnits units = RowUnits::of(c.row);
  return isPlain(c) && c.row.isQuantized() &&
         c.lengths.areAtMost(kMaxPromisedRows) &&
         *c.lengths.common >= kMinPromisedRows &&
         2 * units.columns <= kMaxColumns && llvm::isPowerOf2_64(units.count) &&
         units.count >= kMinPromisedLanes && units.count <= kWarpLanes;
}

/// Units that each lane then sums. Two take fewer instructions for a bag, which
/// bound units of many columns; one leaves more warps to wait for memory.
static int64_t getPromisedUnits(const RowUnits &units) {
  return units.count >= kMinLeanLanes && 2 * units.columns == kMaxColumns ? 2
                                                                          : 1;
}

/// Where all rows of every bag are in flight.
static int64_t getPromisedBlocksPerSm(GPULoweringConfigAttr lowering) {
  int64_t lanes = lowering.getLanes(), units = lowering.getUnitsPerLane();
  if (units == 1 && lanes >= kMinLeanLanes)
    return lanes == kWarpLanes ? kLeanBlocksPerSm : kHalfWarpBlocksPerSm;
  return units == 2 ? kWideBlocksPerSm : kBlocksPerSm;
}

/// Blocks that registers are left for on a multiprocessor where all bags are of
/// the configuration, as it is scheduled.
static int64_t getBlocksPerSm(const BagConfiguration &c) {
  GPULoweringConfigAttr lowering = c.gpuLowering;
  int64_t units = lowering.getUnitsPerLane(), rows = lowering.getRowsInFlight();
  bool isOnePass = lowering.getStages() == 0 &&
                   lowering.getLanes() * units >= RowUnits::of(c.row).count;
  if (!isOnePass || !isPlain(c) || !c.row.isQuantized())
    return kBlocksPerSm;
  if (hasPromisedRows(c) && c.lengths.areAtMost(rows))
    return getPromisedBlocksPerSm(lowering);
  if (isThin(c) && units == 1 && rows == kThinRows)
    return kThinBlocksPerSm;
  bool isSmall =
      units * rows <= kMaxWordsOfCodes && lowering.getLanes() >= kMinCodesLanes;
  return isSmall ? kCodesBlocksPerSm : kBlocksPerSm;
}

/// As measured: outputs of 32 bits lose by it, and so do rows that are not
/// pooled. Headers would be gone where all rows of a bag are loaded in front of
/// them.
static bool selectEvictFirst(const BagConfiguration &c, int64_t rowsInFlight) {
  return c.pooling && c.outputElement.getIntOrFloatBitWidth() == 16 &&
         !c.lengths.areAtMost(rowsInFlight) &&
         getDeviceRowBytes(c.row) <= kMaxEvictedFirst;
}

static GPULoweringConfigAttr withBlocksPerSm(GPULoweringConfigAttr lowering,
                                             int64_t blocks) {
  int64_t few = lowering.getFewBlocksPerSm();
  if (few == 0 && blocks != kBlocksPerSm)
    few = kBlocksPerSm;
  return GPULoweringConfigAttr::get(
      lowering.getContext(), lowering.getLanes(), lowering.getUnitsPerLane(),
      lowering.getRowsInFlight(), lowering.getWarps(), blocks,
      lowering.getNumerics(), lowering.getFewLanes(),
      lowering.getFewUnitsPerLane(), lowering.getFewRowsInFlight(),
      lowering.getStages(), lowering.getFewStages(), few,
      lowering.getEvictFirst(), lowering.getBagParts());
}

static GPULoweringConfigAttr selectLowering(LookupGroupInterface group,
                                            int64_t numGroups,
                                            GPUNumerics numerics) {
  RowType row = group.getRowType();
  RowUnits units = RowUnits::of(row);
  bool isPooled = group.getPoolingMode().has_value();
  int64_t lanes = selectLanes(units, getMostLanes(units, isPooled, numGroups));
  int64_t perLane = getUnitsPerLane(units, lanes);
  bool isOfCodes = units.getWords() == 1 && isPooled;
  bool isWide = perLane > 2 && lanes < kWarpLanes &&
                perLane * units.columns == kMaxColumns;
  int64_t words = isOfCodes && !isWide ? kMaxWordsOfCodes : kMaxWords;
  int64_t rows = selectRows(units, perLane, words, kMaxRows);
  BagConfiguration configuration = BagConfiguration::of(group);
  // A kernel of several configurations has the registers of the hungriest.
  if (numGroups == 1 && hasPromisedRows(configuration)) {
    perLane = getPromisedUnits(units);
    lanes = llvm::PowerOf2Ceil(units.count) / perLane;
    rows = *configuration.lengths.common;
  } else if (numGroups == 1 && isThin(configuration)) {
    perLane = 1;
    lanes = units.count;
    rows = kThinRows;
  } else if (numGroups == 1 && isNarrow(configuration)) {
    rows = kNarrowRows;
  }
  bool evictFirst = selectEvictFirst(configuration, rows);
  FewSchedule few = selectForFewBags(group, numGroups);
  if (few.stages == 0 && std::tie(lanes, perLane, rows) ==
                             std::tie(few.lanes, few.unitsPerLane, few.rows))
    few = {0, 0, 0, 0, few.blocksPerSm};
  return GPULoweringConfigAttr::get(row.getContext(), lanes, perLane, rows,
                                    kWarps, kBlocksPerSm, numerics, few.lanes,
                                    few.unitsPerLane, few.rows, /*stages=*/0,
                                    few.stages, few.blocksPerSm, evictFirst,
                                    /*bag_parts=*/1);
}

namespace {

struct SelectGPULoweringPass
    : public trec::impl::SelectGPULoweringPassBase<SelectGPULoweringPass> {
  using SelectGPULoweringPassBase::SelectGPULoweringPassBase;

  void runOnOperation() override;
  LogicalResult readCache();
  const GPUTuningEntry *find(LookupGroupInterface group,
                             const SymbolTable &symbols);
  FailureOr<GPULoweringConfigAttr> choose(LookupGroupInterface group,
                                          GPUNumerics whose,
                                          const SymbolTable &symbols);

  // Of the module at hand.
  std::optional<TuningCache> cache;
  int64_t numGroups;
};

} // namespace

/// Nothing where no file is named, or where it is one of CPUs alone.
LogicalResult SelectGPULoweringPass::readCache() {
  cache.reset();
  if (tuneCache.empty())
    return success();
  llvm::Expected<TuningCache> read =
      TuningCache::read(tuneCache, &getContext());
  if (!read)
    return getOperation().emitError() << llvm::toString(read.takeError());
  if (read->sizeOfGPU())
    cache = std::move(*read);
  return success();
}

/// What was measured on the latest chip. Null where nothing was.
const GPUTuningEntry *SelectGPULoweringPass::find(LookupGroupInterface group,
                                                  const SymbolTable &symbols) {
  SmallVector<std::string> names(chips.begin(), chips.end());
  auto [found, latest] = cache->findLatest(group, names, symbols);
  if (!found)
    group->emitWarning()
        << tuneCache << " has no entry for "
        << TuningKey::of(group, llvm::join(names, " or "), symbols).describe()
        << ": the cost model chooses";
  for (StringRef chip : names) {
    TuningKey key = TuningKey::of(group, chip, symbols);
    const GPUTuningEntry *entry = cache->findGPU(key);
    if (entry && entry->lowering != found->lowering)
      group->emitWarning() << tuneCache << ": the lowering for "
                           << key.describe()
                           << " is not used: all chips of a library are "
                              "launched as "
                           << latest;
  }
  return found;
}

/// The cost model's lowering, with the schedule that was measured where there
/// is one.
FailureOr<GPULoweringConfigAttr>
SelectGPULoweringPass::choose(LookupGroupInterface group, GPUNumerics whose,
                              const SymbolTable &symbols) {
  BagConfiguration configuration = BagConfiguration::of(group);
  auto schedule = [&](GPULoweringConfigAttr lowering) {
    configuration.gpuLowering = lowering;
    if (numGroups == 1)
      configuration.gpuLowering =
          withBlocksPerSm(lowering, getBlocksPerSm(configuration));
    return configuration.gpuLowering;
  };
  GPULoweringConfigAttr model = selectLowering(group, numGroups, whose);
  const GPUTuningEntry *entry = cache ? find(group, symbols) : nullptr;
  if (!entry)
    return schedule(model);
  GPULoweringConfigAttr tuned = schedule(takeSchedule(entry->lowering, model));
  if (std::optional<std::string> misfit = findMisfit(configuration))
    return group->emitError()
           << tuneCache << ": the lowering for " << configuration.getName()
           << " does not fit: " << *misfit;
  ++numTuned;
  return tuned;
}

void SelectGPULoweringPass::runOnOperation() {
  std::optional<GPUNumerics> whose = symbolizeGPUNumerics(numerics);
  if (!whose) {
    getOperation().emitError()
        << "expected numerics of fbgemm, cpu or relaxed, got '" << numerics
        << "'";
    return signalPassFailure();
  }
  if (failed(readCache()))
    return signalPassFailure();
  SymbolTable symbols(getOperation());
  numGroups = 0;
  getOperation().walk([&](LookupGroupInterface) { ++numGroups; });
  WalkResult result = getOperation().walk([&](LookupGroupInterface group) {
    if (group.getGpuLoweringAttr()) {
      ++numKept;
      return WalkResult::advance();
    }
    FailureOr<GPULoweringConfigAttr> lowering = choose(group, *whose, symbols);
    if (failed(lowering))
      return WalkResult::interrupt();
    group.setGpuLoweringAttr(*lowering);
    ++numSelected;
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}
