//===- LookupCost.cpp - What one lookup reads and takes -------------------===//

#include "LookupCost.h"

#include "trec/Conversion/RowVectors.h"
#include "trec/Transforms/LoweringSpace.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kCacheLineBytes = 64;
static constexpr double kCyclesPerNanosecond = 3;
static constexpr double kVectorsPerCycle = 2, kOthersPerCycle = 4;

double mlir::trec::averageLines(RowType row) {
  int64_t used = row.getHeaderBytes() + row.getDataBytes();
  int64_t stride = row.getRowBytes(), lines = 0;
  // Starts repeat after as many rows as a line has bytes.
  for (int64_t i = 0; i < kCacheLineBytes; ++i) {
    int64_t begin = i * stride % kCacheLineBytes;
    lines += (begin + used - 1) / kCacheLineBytes + 1;
  }
  return double(lines) / kCacheLineBytes;
}

/// Vector operations for the elements of one vector of a row: load and widen,
/// convert, add.
static int64_t countVectorOps(RowType row, LoweringConfigAttr lowering) {
  bool hasFMA = lowering.getFma() == FmaMode::hardware;
  int64_t add = hasFMA ? 2 : 3;
  switch (row.getWeights()) {
  case WeightsType::fp32:
    return 1;
  case WeightsType::fp16:
    return lowering.getHalf() == HalfMode::hardware ? 2 : 10;
  case WeightsType::bf16:
    return 3;
  case WeightsType::fp8:
    return 6;
  case WeightsType::int8:
    return 2 + add;
  case WeightsType::int4:
  case WeightsType::int2: {
    if (lowering.spreadsCodes())
      return (lowering.looksUpCodes() ? 2 : 3) + add;
    int64_t codes = 8 / row.getBits();
    int64_t unpack = lowering.getUnpack() == UnpackMode::lookup ? 1 : 2;
    // The first code needs no shift.
    return 1 + (codes - 1) + codes * (unpack + add);
  }
  }
  llvm_unreachable("all types are listed");
}

static double predictComputing(RowType row, LoweringConfigAttr lowering) {
  // Loop, check, and the conditions of prefetches; an id and its prefetch;
  // scale and bias.
  constexpr double perStep = 8, perRow = 8, perHeader = 4;
  auto [lanes, perPiece, pieces] = cutIntoVectors(row, lowering);
  int64_t piecesPerPass =
      std::max<int64_t>(1, lowering.getAccumulators() / perPiece);
  auto passes = double(llvm::divideCeil(pieces, piecesPerPass));
  double perPass = perStep / double(lowering.getRowsAtOnce());
  double others =
      perRow + passes * (perPass + (row.isQuantized() ? perHeader : 0));
  auto vectors = double(pieces * countVectorOps(row, lowering));
  return (vectors / kVectorsPerCycle + others / kOthersPerCycle) /
         kCyclesPerNanosecond;
}

/// Fetched ahead, so that many rows are waited for at once. As measured on an
/// AMD EPYC with 1 MiB of second and 32 MiB of last level.
static double predictWaiting(RowType row, SizeClass size) {
  double lines = averageLines(row);
  switch (size) {
  case SizeClass::secondLevel:
    return 0.3 * lines;
  case SizeClass::lastLevel:
    return 1.1 * lines;
  case SizeClass::memory:
    return 2 + 5 * lines;
  }
  llvm_unreachable("all classes are listed");
}

/// A load and a store for each vector of a row that is handed out as stored.
static double predictCopying(RowType row, LoweringConfigAttr lowering) {
  constexpr double perRow = 12, laneBytes = 4;
  double vectors = double(row.getUsedBytes()) /
                   (laneBytes * double(lowering.getVectorWidth()));
  return (2 * vectors / kVectorsPerCycle + perRow / kOthersPerCycle) /
         kCyclesPerNanosecond;
}

double mlir::trec::predictLookup(RowType row, Type outputElement,
                                 SizeClass size, LoweringConfigAttr lowering) {
  double computing = outputElement.isInteger(8)
                         ? predictCopying(row, lowering)
                         : predictComputing(row, lowering);
  return std::max(computing, predictWaiting(row, size));
}
