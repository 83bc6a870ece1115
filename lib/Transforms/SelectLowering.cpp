//===- SelectLowering.cpp - Choose how each group will be run -------------===//
//
// The only place that decides on a schedule; `convert-trec-to-vector` obeys.
// The choice is an attribute, so that it can be read, tested and overridden:
//
//   trec.embedding_bag_group sum … rows !trec.row<128, int8, …> bounds warning
//
// becomes
//
//   … lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16,
//               far_distance = 64, far_group = 0, header = memory,
//               certified = bias_once, stores = streaming, output_distance = 2>
//
//===----------------------------------------------------------------------===//

#include "trec/Transforms/SelectLowering.h"
#include "trec/Conversion/RowVectors.h"
#include "trec/Transforms/LoweringSpace.h"
#include "trec/Transforms/Passes.h"
#include "trec/Transforms/TuningCache.h"

#include "llvm/Support/MathExtras.h"

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
  SmallVector<std::string> reasons = {};
};

} // namespace

static constexpr int64_t kLineBytes = 64;
/// What a table has of the second level where several tables share it, and of
/// the last level, on most CPUs.
static constexpr int64_t kSecondLevelBytes = 1 << 18;
static constexpr int64_t kLastLevelBytes = 1 << 25;
/// Rows of larger tables are fetched far ahead on all CPUs that were measured.
static constexpr int64_t kMostNearBytes = 8 << 20;

ArrayRef<SizeClass> mlir::trec::getSizeClasses() {
  static constexpr SizeClass sizes[] = {
      SizeClass::secondLevel, SizeClass::lastLevel, SizeClass::memory};
  return sizes;
}

StringRef mlir::trec::stringifySizeClass(SizeClass size) {
  switch (size) {
  case SizeClass::secondLevel:
    return "level2";
  case SizeClass::lastLevel:
    return "level3";
  case SizeClass::memory:
    return "memory";
  }
  llvm_unreachable("all classes are listed");
}

SizeClass mlir::trec::getSizeClass(int64_t tableBytes) {
  if (tableBytes <= kSecondLevelBytes)
    return SizeClass::secondLevel;
  return tableBytes <= kLastLevelBytes ? SizeClass::lastLevel
                                       : SizeClass::memory;
}

int64_t mlir::trec::getTableBytes(TableType table) {
  return table.hasDynamicRows()
             ? std::numeric_limits<int64_t>::max()
             : table.getRows() * table.getRowType().getRowBytes();
}

int64_t mlir::trec::getLargestTable(LookupGroupInterface group,
                                    const SymbolTable &symbols) {
  int64_t largest = 0;
  for (BagAttr bag : group.getBags().getAsRange<BagAttr>())
    largest = std::max(
        largest,
        getTableBytes(
            symbols.lookup<TableOp>(bag.getTable().getValue()).getType()));
  return largest;
}

/// The first level of the cache takes few requests at once, too few for rows
/// that come from memory; the second takes more. So rows of large tables are
/// fetched into the second level as early as it holds them without loss, and
/// into the first a little before they are added. A table that every CPU's
/// second level holds needs one fetch alone, and of larger ones the runtime
/// knows which need two, and how many rows of three lines or more leave
/// together (NearTables.c); where one may do, a row of one line is fetched
/// earlier. An id that is searched for costs a search for each fetch, and a
/// sorted map knows the rows of few ids ahead.
static Prefetch selectPrefetch(LookupGroupInterface group, int64_t tableBytes) {
  constexpr int64_t twoLines = 2 * kLineBytes;
  std::optional<MapKind> map = group.getRemapKind();
  if (map == MapKind::sorted)
    return {/*distance=*/8,
            /*farDistance=*/0,
            /*farGroup=*/1,
            {"one step: a sorted map knows the rows of 8 ids ahead"}};
  if (map == MapKind::hash_table)
    return {/*distance=*/16,
            /*farDistance=*/0,
            /*farGroup=*/1,
            {"one step: each fetch searches the hash table again"}};
  int64_t rowBytes = group.getRowType().getRowBytes();
  bool mayBeNear = tableBytes <= kMostNearBytes;
  int64_t distance = rowBytes <= kLineBytes && mayBeNear ? 32 : 16;
  if (tableBytes <= kSecondLevelBytes)
    return {distance,
            /*farDistance=*/0,
            /*farGroup=*/1,
            {"one step: the second level of the cache holds any table"}};
  SmallVector<std::string> reasons = {
      tableBytes == std::numeric_limits<int64_t>::max()
          ? "two steps: a table of unknown rows may be above the second level"
          : "two steps: the largest table is above the second level"};
  if (rowBytes > twoLines)
    reasons.push_back(
        "rows of three lines or more leave in groups where that suits the "
        "machine");
  int64_t farGroup = rowBytes > twoLines ? 0 : 1;
  return {distance, /*farDistance=*/64, farGroup, std::move(reasons)};
}

/// Where the CPU permutes as many lanes as the vectors have.
bool mlir::trec::canLookUpCodes(RowType row, int64_t lanes,
                                const CPULevel &level) {
  if (!row.isQuantized() || row.getBits() == 8 || !level.permutesLanes)
    return false;
  return (level.vectorBits == 512 && lanes == 16) ||
         (lanes == 8 && row.getBits() == 2);
}

bool mlir::trec::canLookUpSpread(RowType row, int64_t lanes,
                                 const CPULevel &level) {
  return canLookUpCodes(
      row, cutIntoVectors(row, lanes, /*isSpread=*/true).lanes, level);
}

/// Whether a row is more than two vectors.
static bool isWide(RowType row, const CPULevel &level) {
  return row.getDim() > 2 * (level.vectorBits / 32);
}

/// Whether vectors of codes are fewer than those of bytes, which overlap at the
/// end of a row: of 100 INT4 codes 7 and not 8. Each has a load of its own
/// then, which costs where rows come from far; and INT2 has pairs of rows by
/// bytes.
static bool isSpreadShorter(RowType row, int64_t lanes, int64_t tableBytes) {
  int64_t bytes = llvm::divideCeil(row.getDataBytes(), lanes);
  return row.getBits() == 4 && tableBytes <= kMostNearBytes &&
         llvm::divideCeil(row.getDim(), lanes) < uint64_t(2 * bytes);
}

/// Bytes that are fewer than the lanes leave lanes idle where each has a byte.
static UnpackMode selectUnpack(RowType row, const CPULevel &level,
                               int64_t tableBytes,
                               SmallVectorImpl<std::string> &reasons) {
  int64_t lanes = level.vectorBits / 32;
  bool isPacked = row.isQuantized() && row.getBits() < 8;
  if (isPacked && level.shiftsLanes && row.getDataBytes() < lanes) {
    reasons.push_back("codes are spread: the row has fewer bytes than a vector "
                      "has lanes");
    return canLookUpSpread(row, lanes, level) ? UnpackMode::spread_lookup
                                              : UnpackMode::spread;
  }
  if (!canLookUpCodes(row, lanes, level))
    return UnpackMode::convert;
  if (isSpreadShorter(row, lanes, tableBytes)) {
    reasons.push_back("codes are spread: the row has fewer vectors of codes "
                      "than of bytes");
    return UnpackMode::spread_lookup;
  }
  reasons.push_back("codes are looked up: the level permutes " +
                    std::to_string(lanes) + " lanes");
  return UnpackMode::lookup;
}

bool mlir::trec::canStoreHeaders(const CPULevel &level) {
  return level.architecture == Architecture::x86_64 && level.convertsHalves;
}

/// Of vectors of 512 bits Intel's CPUs shuffle one in a cycle, which unpacking
/// codes and getting headers into all lanes share, and load two. AMD's shuffle
/// two, and lose nothing by the way through memory where rows are wide. Narrow
/// rows of bytes unpack by few shuffles: there it took 1.01 to 1.11 times as
/// long on both. Rows that are outputs of their own have stores enough.
static HeaderMode selectHeader(LookupGroupInterface group,
                               const CPULevel &level,
                               SmallVectorImpl<std::string> &reasons) {
  RowType row = group.getRowType();
  bool hasHeaders = row.isQuantized() && group.getPoolingMode().has_value();
  bool isNarrow = row.getBits() == 8 && !isWide(row, level);
  if (!hasHeaders || isNarrow || level.vectorBits < 512 ||
      !canStoreHeaders(level))
    return HeaderMode::registers;
  reasons.push_back("headers go by memory: unpacking needs the one unit that "
                    "shuffles 512 bits");
  return HeaderMode::memory;
}

/// What a step has once, its rows share: the end of the loop and the conditions
/// of prefetches. That counts where a row has few vectors. Of wide rows it
/// counts by pairs where they are near, for far ones may leave in groups: with
/// 512 bits a Xeon took 0.94 to 1 of the time for rows of up to eight vectors.
static int64_t selectRowsAtOnce(LookupGroupInterface group,
                                const CPULevel &level, int64_t tableBytes) {
  RowType row = group.getRowType();
  if (!group.getPoolingMode() || group.getRemapKind())
    return 1;
  if (!isWide(row, level))
    return 4;
  constexpr int64_t vectorBits = 512, mostVectors = 8;
  bool gains = level.vectorBits == vectorBits &&
               row.getDim() * 32 <= mostVectors * vectorBits &&
               tableBytes <= kMostNearBytes;
  return gains ? 2 : 1;
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

/// Of a row of the output that is whole lines nothing is read before it is
/// written, and none is written by halves.
bool mlir::trec::fillsLines(LookupGroupInterface group) {
  constexpr int64_t lineBits = kLineBytes * 8;
  Type element = group.getOutputElement();
  return group.getRowType().getOutputDim(element) *
             element.getIntOrFloatBitWidth() % lineBits ==
         0;
}

/// Whether outputs are many is known in each call: the runtime says so then.
static StoreMode selectStores(LookupGroupInterface group,
                              SmallVectorImpl<std::string> &reasons) {
  if (group.getOutputElement().isInteger(8) || !fillsLines(group))
    return StoreMode::cached;
  reasons.push_back("large outputs are streamed: their rows are whole lines");
  return StoreMode::streaming;
}

/// Of bags whose rows of the output are two lines or fewer a CPU has several
/// under way at once, and needs no more than to hear of their lines before it
/// adds. Rows of the table that are handed out as they are lie one behind the
/// other in the output, and CPUs fetch what is written so by themselves.
static int64_t selectOutputDistance(LookupGroupInterface group) {
  constexpr int64_t twoLineBits = 2 * kLineBytes * 8;
  Type element = group.getOutputElement();
  int64_t rowBits = group.getRowType().getOutputDim(element) *
                    element.getIntOrFloatBitWidth();
  return group.getPoolingMode() && rowBits > twoLineBits ? 2 : 0;
}

LoweringChoice mlir::trec::selectLowering(LookupGroupInterface group,
                                          const CPULevel &level,
                                          const SymbolTable &symbols,
                                          Numerics numerics) {
  RowType row = group.getRowType();
  int64_t lanes = level.vectorBits / 32;
  int64_t accumulators = std::max<int64_t>(
      level.vectorRegisters - countScratchRegisters(level), 4);
  int64_t tableBytes = getLargestTable(group, symbols);
  Prefetch prefetch = selectPrefetch(group, tableBytes);
  RowArithmetic certified = selectCertified(group, level, numerics);
  if (certified == RowArithmetic::in_order)
    numerics = Numerics::fbgemm;
  UnpackMode unpack = selectUnpack(row, level, tableBytes, prefetch.reasons);
  HeaderMode header = selectHeader(group, level, prefetch.reasons);
  int64_t rowsAtOnce = selectRowsAtOnce(group, level, tableBytes);
  if (rowsAtOnce > 1) {
    prefetch.farGroup = 1;
    prefetch.reasons.push_back(
        "rows are taken " + std::to_string(rowsAtOnce) + " at once: " +
        (isWide(row, level) ? "the tables may be near"
                            : "each is two vectors or less"));
  }
  StoreMode stores = selectStores(group, prefetch.reasons);
  return {LoweringConfigAttr::get(
              row.getContext(), lanes, accumulators, prefetch.distance,
              prefetch.farDistance, prefetch.farGroup, rowsAtOnce, unpack,
              header, level.hasFMA ? FmaMode::hardware : FmaMode::library,
              level.convertsHalves ? HalfMode::hardware : HalfMode::integer,
              certified, numerics, stores, selectOutputDistance(group)),
          std::move(prefetch.reasons)};
}

/// A lowering that was written by hand must be one that code of the level can
/// be made for.
static LogicalResult checkLowering(LookupGroupInterface group,
                                   const CPULevel &level) {
  LoweringConfigAttr lowering = group.getLoweringAttr();
  bool canPermute =
      level.permutesLanes && lowering.getVectorWidth() * 32 <= level.vectorBits;
  StringRef unpack = stringifyUnpackMode(lowering.getUnpack());
  if (lowering.looksUpCodes() && !canPermute)
    return group.emitOpError()
           << "expected unpack = convert for vectors of "
           << lowering.getVectorWidth() << " lanes, which " << level.name
           << " does not permute, got " << unpack;
  if (lowering.spreadsCodes() && !level.shiftsLanes)
    return group.emitOpError()
           << "expected unpack = convert for " << level.name
           << ", which does not shift lanes by numbers of their own, got "
           << unpack;
  if (lowering.getCertified() == RowArithmetic::row_pairs && !canPermute)
    return group.emitOpError()
           << "expected certified = bias_once for vectors "
              "of "
           << lowering.getVectorWidth() << " lanes, which " << level.name
           << " does not permute, got row_pairs";
  if (lowering.getHeader() == HeaderMode::memory &&
      (!canStoreHeaders(level) ||
       lowering.getVectorWidth() * 32 > level.vectorBits))
    return group.emitOpError()
           << "expected header = registers for vectors of "
           << lowering.getVectorWidth() << " lanes, which " << level.name
           << " does not load a number into, got memory";
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

  void runOnOperation() override;
  FailureOr<LoweringConfigAttr> choose(LookupGroupInterface group,
                                       const CPULevel &level,
                                       const TuningCache *cache,
                                       const SymbolTable &symbols);
  FailureOr<std::optional<TuningCache>> readCache();
};

} // namespace

/// Nothing where no file is named.
FailureOr<std::optional<TuningCache>> SelectLoweringPass::readCache() {
  if (tuneCache.empty())
    return std::optional<TuningCache>();
  llvm::Expected<TuningCache> read =
      TuningCache::read(tuneCache, &getContext());
  if (!read)
    return getOperation().emitError() << llvm::toString(read.takeError());
  return std::optional(std::move(*read));
}

/// The cost model's lowering, with the schedule that was measured where there
/// is one, and a word where there is none.
FailureOr<LoweringConfigAttr>
SelectLoweringPass::choose(LookupGroupInterface group, const CPULevel &level,
                           const TuningCache *cache,
                           const SymbolTable &symbols) {
  LoweringConfigAttr model =
      selectLowering(group, level, symbols, *symbolizeNumerics(numerics))
          .lowering;
  if (!cache)
    return model;
  TuningKey key = TuningKey::of(group, level.name, symbols);
  const TuningEntry *entry = cache->find(key);
  // A file of GPUs alone was not meant for CPUs.
  if (!entry && !cache->size())
    return model;
  if (!entry) {
    group->emitWarning() << tuneCache << " has no entry for " << key.describe()
                         << ": the cost model chooses";
    return model;
  }
  if (std::optional<std::string> misfit =
          findMisfit(entry->lowering, group.getRowType(), level))
    return group->emitError() << tuneCache << ": the lowering for "
                              << key.describe() << " does not fit: " << *misfit;
  ++numTuned;
  return takeSchedule(entry->lowering, model);
}

void SelectLoweringPass::runOnOperation() {
  const CPULevel *level = findCPULevel(cpu);
  if (!level) {
    getOperation().emitError() << "expected a CPU level of " << listCPULevels()
                               << ", got '" << cpu << "'";
    return signalPassFailure();
  }
  if (!symbolizeNumerics(numerics)) {
    getOperation().emitError()
        << "expected numerics of fbgemm or relaxed, got '" << numerics << "'";
    return signalPassFailure();
  }
  FailureOr<std::optional<TuningCache>> cache = readCache();
  if (failed(cache))
    return signalPassFailure();
  SymbolTable symbols(getOperation());
  WalkResult result = getOperation().walk([&](LookupGroupInterface group) {
    if (group.getLoweringAttr()) {
      ++numKept;
      return WalkResult(checkLowering(group, *level));
    }
    FailureOr<LoweringConfigAttr> lowering =
        choose(group, *level, *cache ? &**cache : nullptr, symbols);
    if (failed(lowering))
      return WalkResult::interrupt();
    group.setLoweringAttr(*lowering);
    ++numSelected;
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}
