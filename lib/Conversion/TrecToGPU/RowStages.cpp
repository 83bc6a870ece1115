//===- RowStages.cpp - Rows on their way to shared memory -----------------===//

#include "RowStages.h"
#include "trec/Conversion/KernelGeometry.h"

using namespace mlir;
using namespace mlir::trec;

/// Of a copy that leaves the first level of the cache alone.
static constexpr int64_t kPieceBytes = 16;
/// Of scale and bias.
static constexpr int64_t kHeaderBytes = 4;
static constexpr int64_t kWarpLanes = DeviceBuilder::kWarpLanes;

RowStages::RowStages(DeviceBuilder &builder,
                     const BagConfiguration &configuration,
                     const Lookup &lookup, const ColumnSplit &split,
                     Value shared)
    : b(builder), c(configuration), lookup(lookup), split(split),
      numLanes(configuration.gpuLowering.getLanes()),
      rowsPerStage(configuration.gpuLowering.getRowsInFlight()),
      rowBytes(getDeviceRowBytes(configuration.row)),
      stageBytes(rowsPerStage * getRowStride()),
      weightBytes(rowsPerStage * getBagsPerWarp() * sizeof(float)),
      shared(shared) {
  Value thread = b.threadId();
  lane = b.both(thread, kWarpLanes - 1);
  laneOfGroup = b.both(thread, numLanes - 1);
  group = b.shiftRight(lane, llvm::Log2_64(numLanes));
  laneOfRow = b.both(thread, split.lanes - 1);
  setWarp(b.shiftRight(thread, llvm::Log2_64(kWarpLanes)));
}

void RowStages::setWarp(Value warp) {
  int64_t perWarp = getSharedBytes(c) / c.gpuLowering.getWarps();
  warpStages = b.addressOf(shared, warp, perWarp);
  if (c.isWeighted())
    warpWeights = b.add(warpStages, c.gpuLowering.getStages() * stageBytes);
}

RowStages RowStages::ofWarp(Value warp) const {
  RowStages other = *this;
  other.setWarp(warp);
  return other;
}

Value RowStages::getStage(Value stage) {
  return b.addressOf(warpStages, stage, stageBytes);
}

Value RowStages::getWeights(Value stage) {
  return b.addressOf(warpWeights, stage, weightBytes);
}

/// 16 bytes for each lane, from number `first` of the stage on. `held` is the
/// row that a lane has.
void RowStages::copyPieces(Value stageAddress, Value held, int64_t first) {
  int64_t perRow = rowBytes / kPieceBytes, bagsPerWarp = getBagsPerWarp();
  Value piece = b.add(lane, first);
  // Exact: there are fewer pieces than 2 to the power 12 in a stage, and no
  // more than 2 to the power 8 in a row.
  constexpr int64_t shift = 20;
  int64_t reciprocal = llvm::divideCeil(int64_t(1) << shift, perRow);
  Value rowOfAll = b.shiftRight(b.multiply(piece, reciprocal), shift);
  Value place = b.shiftRight(rowOfAll, llvm::Log2_64(bagsPerWarp));
  Value bag = b.both(rowOfAll, bagsPerWarp - 1);
  Value holder = b.add(b.multiply(bag, numLanes), place);
  Value row = b.shuffle(held, holder, kWarpLanes);
  Value isRow = b.compare(Predicate::ne, row, kNoRow);
  Value none = b.i32(0), all = b.i32(kPieceBytes);
  Value bytes = b.select(isRow, all, none);
  Value inRow = b.subtract(piece, b.multiply(rowOfAll, perRow));
  Value from = b.addressOf(lookup.rows, b.select(isRow, row, none), rowBytes);
  from = b.addressOf(from, inRow, kPieceBytes);
  Value to = b.addressOf(stageAddress, piece, kPieceBytes);
  if (first + kWarpLanes <= stageBytes / kPieceBytes)
    return b.copyAsync(to, from, bytes);
  Value isInStage = b.compare(Predicate::slt, piece, stageBytes / kPieceBytes);
  b.doIf(isInStage, [&] { b.copyAsync(to, from, bytes); });
}

void RowStages::copy(Value stage, const IdWindow &window, Value numRows) {
  Value row = window.rows.front(), none = b.i32(kNoRow);
  if (!window.exist.empty())
    row = b.select(window.exist.front(), row, none);
  // As many as `numRows`, and one if that is odd.
  Value all = b.i32(rowsPerStage);
  Value even = b.both(b.add(arith::MinSIOp::create(b, numRows, all), 1), -2);
  Value needed = b.multiply(even, getRowStride() / kPieceBytes);
  Value address = getStage(stage);
  for (int64_t first = 0; first < stageBytes / kPieceBytes; first += kWarpLanes)
    b.doIf(b.compare(Predicate::sgt, needed, first),
           [&] { copyPieces(address, row, first); });
}

void RowStages::commit() { b.commitCopies(); }

void RowStages::wait(int64_t numPending) { b.waitForCopies(numPending); }

void RowStages::storeWeights(Value stage, const IdWindow &window) {
  if (!warpWeights)
    return;
  Value place = b.add(b.multiply(laneOfGroup, getBagsPerWarp()), group);
  Value address = b.addressOf(getWeights(stage), place, sizeof(float));
  Value bits = b.bits(b.getI32Type(), window.weights.front());
  Value isRow = b.compare(Predicate::slt, laneOfGroup, rowsPerStage);
  b.doIf(isRow, [&] { b.storeShared(address, bits); });
}

/// Lanes without a unit read the last one: it is never stored.
StagedRow RowStages::load(Value stage, Value place, int64_t offset) {
  StagedRow row;
  Value bag = b.addressOf(getStage(stage), group, rowBytes);
  Value address = b.addressOf(bag, place, getRowStride());
  address = b.add(address, offset * getRowStride());
  if (c.row.isQuantized())
    row.header.scaleAndBias = b.loadShared(address, kHeaderBytes).front();
  if (warpWeights) {
    Value weights = b.addressOf(getWeights(stage), group, sizeof(float));
    int64_t perRow = getBagsPerWarp() * sizeof(float);
    Value at = b.add(b.addressOf(weights, place, perRow), offset * perRow);
    Value bits = b.loadShared(at, sizeof(float)).front();
    row.header.weight = b.bits(b.getF32Type(), bits);
  }
  Value first = b.add(address, c.row.getHeaderBytes());
  const RowUnits &units = split.units;
  Value last = b.i32(units.count - 1);
  for (int64_t i = 0; i < split.unitsPerLane; ++i) {
    Value unit = b.add(laneOfRow, i * split.lanes);
    if ((i + 1) * split.lanes > units.count)
      unit = arith::MinSIOp::create(b, unit, last);
    Value at = b.addressOf(first, unit, units.bytes);
    llvm::append_range(row.words, b.loadShared(at, units.bytes));
  }
  return row;
}
