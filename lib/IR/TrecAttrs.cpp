//===- TrecAttrs.cpp - Attributes of the trec dialect ---------------------===//
//
// Verifiers of attributes. Labels C1, C2 … are those of TrecAttrs.td.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

#include "trec/IR/TrecEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "trec/IR/TrecAttrs.cpp.inc"

void TrecDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "trec/IR/TrecAttrs.cpp.inc"
      >();
}

LogicalResult
RowLayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                      HeaderType header, int64_t align) {
  constexpr int64_t maxAlign = 1 << 16;
  if (align < 1 || align > maxAlign) // C1
    return emitError() << "expected a row alignment of 1 to " << maxAlign
                       << " bytes, got " << align;
  return success();
}

LogicalResult
mlir::trec::verifyLength(function_ref<InFlightDiagnostic()> emitError,
                         std::optional<int64_t> length) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  if (length && (*length < 0 || *length > most))
    return emitError() << "expected a length of 0 to " << most << " ids, got "
                       << *length;
  return success();
}

LogicalResult BagAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                              FlatSymbolRefAttr table, StringAttr feature,
                              int64_t column, FlatSymbolRefAttr weights,
                              FlatSymbolRefAttr remap, int64_t batch,
                              int64_t output, BadIds badIds,
                              std::optional<int64_t> length) {
  if (column < 0) // C1
    return emitError() << "expected a column of at least 0, got " << column;
  if (batch < 0) // C1
    return emitError() << "expected a batch of at least 0, got " << batch;
  if (output < 0) // C1
    return emitError() << "expected an output of at least 0, got " << output;
  return verifyLength(emitError, length); // C2
}

LogicalResult MapAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                              MapKind kind, int64_t ids) {
  if (kind != MapKind::hash_table && ids != kAllIds) // C1
    return emitError() << "expected a number of ids of a hash_table alone, got "
                       << ids << " of a map of kind '" << stringifyMapKind(kind)
                       << "'";
  if (ids < 0 || ids > kAllIds) // C1
    return emitError() << "expected 0 to " << kAllIds << " ids, got " << ids;
  return success();
}

IntegerType MapAttr::getElementType() const {
  return IntegerType::get(getContext(), getKind() == MapKind::sorted ? 64 : 32);
}

std::optional<int64_t> MapAttr::getNumIds(int64_t entries) const {
  switch (getKind()) {
  case MapKind::array:
    return entries;
  case MapKind::hash_table:
    return getIds();
  case MapKind::sorted:
    return std::nullopt;
  }
  llvm_unreachable("all kinds of maps are listed");
}

LogicalResult LoweringConfigAttr::verify(
    function_ref<InFlightDiagnostic()> emitError, int64_t vectorWidth,
    int64_t accumulators, int64_t prefetchDistance, int64_t farDistance,
    int64_t farGroup, int64_t rowsAtOnce, UnpackMode unpack, HeaderMode header,
    FmaMode fma, HalfMode half, RowArithmetic certified, Numerics numerics,
    StoreMode stores, int64_t outputDistance) {
  if (vectorWidth > 64 || vectorWidth < 1 ||
      !llvm::isPowerOf2_64(vectorWidth)) // C1
    return emitError() << "expected a vector width that is a power of two of "
                          "at most 64, got "
                       << vectorWidth;
  if (accumulators < 1 || accumulators > 64) // C2
    return emitError() << "expected 1 to 64 accumulators, got " << accumulators;
  if (prefetchDistance < 0) // C3
    return emitError() << "expected a prefetch distance of at least 0, got "
                       << prefetchDistance;
  if (farDistance < 0) // C3
    return emitError() << "expected a far distance of at least 0, got "
                       << farDistance;
  if (farGroup < 0 || farGroup > 64 ||
      (farGroup && !llvm::isPowerOf2_64(farGroup))) // C4
    return emitError() << "expected a far group of 0 or a power of two of at "
                          "most 64 rows, got "
                       << farGroup;
  if (numerics == Numerics::relaxed &&
      certified == RowArithmetic::in_order) // C5
    return emitError() << "expected a certified arithmetic other than in_order "
                          "for relaxed numerics";
  if (rowsAtOnce < 1 || rowsAtOnce > 16 ||
      !llvm::isPowerOf2_64(rowsAtOnce)) // C6
    return emitError() << "expected rows at once that are a power of two of at "
                          "most 16, got "
                       << rowsAtOnce;
  if (farGroup != 1 && rowsAtOnce > 1) // C7
    return emitError() << "expected a far group of 1 where rows are taken "
                       << rowsAtOnce << " at once, got " << farGroup;
  if (outputDistance < 0) // C8
    return emitError() << "expected an output distance of at least 0, got "
                       << outputDistance;
  if (header == HeaderMode::memory && half == HalfMode::integer) // C9
    return emitError() << "expected header = registers where half is integer, "
                          "got memory";
  return success();
}

static bool isPowerOfTwoTo32(int64_t value) {
  return value >= 1 && value <= 32 && llvm::isPowerOf2_64(value);
}

static LogicalResult
checkGPUSchedule(function_ref<InFlightDiagnostic()> emitError, int64_t lanes,
                 int64_t unitsPerLane, int64_t rowsInFlight, int64_t stages,
                 StringRef where) {
  if (!isPowerOfTwoTo32(lanes)) // C1
    return emitError() << "expected lanes that are a power of two of at most "
                          "32, got "
                       << lanes << where;
  if (unitsPerLane < 1 || unitsPerLane > 8) // C2
    return emitError() << "expected 1 to 8 units per lane, got " << unitsPerLane
                       << where;
  if (rowsInFlight < 1 || rowsInFlight > 32) // C3
    return emitError() << "expected 1 to 32 rows in flight, got "
                       << rowsInFlight << where;
  if (stages == 0)
    return success();
  if (stages < 2 || stages > 16) // C7
    return emitError() << "expected 2 to 16 stages or none, got " << stages
                       << where;
  if (rowsInFlight > lanes || rowsInFlight % 2) // C7
    return emitError() << "expected an even number of rows in a stage, at most "
                          "one for each of "
                       << lanes << " lanes, got " << rowsInFlight << where;
  return success();
}

LogicalResult GPULoweringConfigAttr::verify(
    function_ref<InFlightDiagnostic()> emitError, int64_t lanes,
    int64_t unitsPerLane, int64_t rowsInFlight, int64_t warps,
    int64_t blocksPerSm, GPUNumerics numerics, int64_t fewLanes,
    int64_t fewUnitsPerLane, int64_t fewRowsInFlight, int64_t stages,
    int64_t fewStages, int64_t fewBlocksPerSm, bool evictFirst,
    int64_t bagParts) {
  if (failed(checkGPUSchedule(emitError, lanes, unitsPerLane, rowsInFlight,
                              stages, /*where=*/"")))
    return failure();
  if (!isPowerOfTwoTo32(warps)) // C4
    return emitError() << "expected warps that are a power of two of at most "
                          "32, got "
                       << warps;
  for (int64_t blocks : {blocksPerSm, fewBlocksPerSm})
    if (blocks < 0 || blocks > 32) // C5
      return emitError() << "expected 0 to 32 blocks per multiprocessor, got "
                         << blocks;
  if (!isPowerOfTwoTo32(bagParts) || lanes * bagParts > 32) // C8
    return emitError() << "expected parts of a bag that are a power of two, at "
                          "most one for each "
                       << lanes << " of 32 lanes, got " << bagParts;
  if (bagParts > 1 && (numerics != GPUNumerics::relaxed || stages)) // C8
    return emitError() << "expected one part of a bag but for relaxed numerics "
                          "without stages, got "
                       << bagParts;
  if (fewLanes == 0 && fewUnitsPerLane == 0 && fewRowsInFlight == 0 &&
      fewStages == 0)
    return success();
  return checkGPUSchedule(emitError, fewLanes, fewUnitsPerLane, fewRowsInFlight,
                          fewStages, /*where=*/" for few bags"); // C6
}

GPULoweringConfigAttr GPULoweringConfigAttr::getForFewBags() const {
  int64_t blocks = getFewBlocksPerSm() ? getFewBlocksPerSm() : getBlocksPerSm();
  bool isOther = getFewLanes() != 0;
  return get(getContext(), isOther ? getFewLanes() : getLanes(),
             isOther ? getFewUnitsPerLane() : getUnitsPerLane(),
             isOther ? getFewRowsInFlight() : getRowsInFlight(), getWarps(),
             blocks, getNumerics(), /*few_lanes=*/0, /*few_units_per_lane=*/0,
             /*few_rows_in_flight=*/0, isOther ? getFewStages() : getStages(),
             /*few_stages=*/0, /*few_blocks_per_sm=*/0, getEvictFirst(),
             isOther ? 1 : getBagParts());
}

GPULoweringConfigAttr
GPULoweringConfigAttr::withEvictFirst(bool evictFirst) const {
  return get(getContext(), getLanes(), getUnitsPerLane(), getRowsInFlight(),
             getWarps(), getBlocksPerSm(), getNumerics(), getFewLanes(),
             getFewUnitsPerLane(), getFewRowsInFlight(), getStages(),
             getFewStages(), getFewBlocksPerSm(), evictFirst, getBagParts());
}
