//===- RowFetch.cpp - How lanes bring rows in -----------------------------===//

#include "RowFetch.h"

using namespace mlir;
using namespace mlir::trec;

/// Of rows in flight that each lane keeps the number of until all are known.
static constexpr int64_t kMostHandedOut = 8;

SmallVector<Value> IdWindow::getValues() const {
  SmallVector<Value> values = rows;
  llvm::append_range(values, exist);
  llvm::append_range(values, weights);
  return values;
}

IdWindow IdWindow::withValues(ValueRange values) const {
  auto take = [&](size_t count) {
    auto taken = llvm::to_vector_of<Value>(values.take_front(count));
    values = values.drop_front(count);
    return taken;
  };
  IdWindow window;
  window.rows = take(rows.size());
  window.exist = take(exist.size());
  window.weights = take(weights.size());
  return window;
}

RowFetch::RowFetch(DeviceBuilder &builder,
                   const BagConfiguration &configuration, IntegerType idType,
                   const Lookup &lookup, int64_t windowSize)
    : b(builder), c(configuration), idType(idType), lookup(lookup),
      sums(builder, configuration, ColumnSplit::ofGroup(configuration)),
      ids(builder, configuration.remap, lookup),
      numLanes(configuration.gpuLowering.getLanes()),
      rowsInFlight(configuration.gpuLowering.getRowsInFlight()),
      windowSize(windowSize),
      bagLanes(configuration.gpuLowering.getLanesPerBag()),
      bagParts(configuration.gpuLowering.getBagParts()),
      idsPerLane(llvm::divideCeil(windowSize, bagLanes)),
      deviceRowBytes(getDeviceRowBytes(configuration.row)) {
  lane = b.both(b.threadId(), numLanes - 1);
  laneOfBag = lane;
  if (bagParts > 1) {
    laneOfBag = b.both(b.threadId(), bagLanes - 1);
    part = b.shiftRight(laneOfBag, llvm::Log2_64(numLanes));
  }
  if (c.weighting == Weighting::sample)
    weights = lookup.sampleWeights;
  if (c.weighting == Weighting::position)
    weights = lookup.loadPositionWeights(b);
}

int64_t RowFetch::selectWindowSize(GPULoweringConfigAttr lowering) {
  int64_t lanes = lowering.getLanesPerBag();
  int64_t rows = lowering.getRowsInFlight() * lowering.getBagParts();
  return lanes % rows == 0 ? lanes : rows;
}

/// Slot i of all lanes holds the ids behind those of slot i - 1.
Value RowFetch::getPosition(Value position, int64_t slot) {
  return b.add(b.add(position, laneOfBag), slot * bagLanes);
}

/// Lanes beyond the window hold nothing: their ids are the next one's. There is
/// no next one where a window is promised to hold every bag.
Value RowFetch::isThere(Value position, const IdSpan &bag, int64_t slot) {
  Value inRange = b.compare(Predicate::slt, position, bag.end);
  int64_t numLeft = windowSize - slot * bagLanes;
  bool holdsBags = c.pooling && c.lengths.areAtMost(windowSize);
  if (numLeft >= bagLanes || holdsBags)
    return inRange;
  return b.both(inRange, b.compare(Predicate::slt, laneOfBag, numLeft));
}

SmallVector<Value> RowFetch::loadIds(Value position, const IdSpan &bag) {
  Value none = b.constant(idType, -1);
  SmallVector<Value> loaded;
  for (int64_t slot = 0; slot < idsPerLane; ++slot) {
    Value at = getPosition(position, slot);
    Value address = b.addressOf(lookup.values, at, idType.getWidth() / 8);
    Value exists = isThere(at, bag, slot);
    llvm::append_range(loaded, b.loadIf(exists, address, none));
  }
  return loaded;
}

/// Rows that are not there must change nothing. Zeros times -0 do so, whatever
/// the sum is; FBGEMM's GPU kernels take 0 as the weight of an id of -1.
Value RowFetch::loadWeight(Value position, const IdSpan &bag, Value row) {
  Value index = c.weighting == Weighting::position
                    ? b.subtract(position, bag.begin)
                    : position;
  Value address = b.addressOf(weights, index, 4);
  constexpr int64_t minusZero = std::numeric_limits<int32_t>::min();
  Value nothing = b.i32(minusZero);
  if (c.gpuLowering.getNumerics() != GPUNumerics::cpu) {
    Value isThere = b.compare(Predicate::slt, position, bag.end);
    nothing = b.select(isThere, b.i32(0), nothing);
  }
  Value bits = b.loadIf(isRow(row), address, nothing).front();
  return b.bits(b.getF32Type(), bits);
}

/// A row of codes that is not there has a header of zeros, and so none of its
/// codes counts: any may be read instead, and no load depends on a condition.
IdWindow RowFetch::resolve(ValueRange loaded, Value position, const IdSpan &bag,
                           Value &hasBadId) {
  IdWindow window;
  Value zero = b.i32(0);
  for (auto [slot, id] : llvm::enumerate(loaded)) {
    Value at = getPosition(position, slot);
    ResolvedId resolved = ids.resolve(id, isThere(at, bag, slot));
    hasBadId = b.either(hasBadId, resolved.isBad);
    Value row = resolved.row;
    if (c.isWeighted())
      window.weights.push_back(loadWeight(at, bag, row));
    if (c.row.isQuantized()) {
      window.exist.push_back(isRow(row));
      row = b.select(window.exist.back(), row, zero);
    }
    window.rows.push_back(row);
  }
  return window;
}

/// What the lane has that holds the group's row `row` of the chunk.
Value RowFetch::handOut(ValueRange held, const Chunk &chunk, int64_t row) {
  int64_t first = row * bagParts;
  Value from = held[chunk.first ? 0 : first / bagLanes];
  if (!chunk.first && !part)
    return b.shuffle(from, first % bagLanes, bagLanes);
  Value place =
      chunk.first ? b.add(chunk.first, first) : Value(b.i32(first % bagLanes));
  return b.shuffle(from, part ? b.add(place, part) : place, bagLanes);
}

SmallVector<SmallVector<Value>> RowFetch::loadRows(const IdWindow &window,
                                                   const Chunk &chunk,
                                                   Value firstUnit) {
  const RowUnits &units = sums.getUnits();
  int64_t unitsPerLane = c.gpuLowering.getUnitsPerLane();
  Value wideUnit = b.multiply(b.zeroExtend(firstUnit), units.bytes);
  Value base = b.add(lookup.rows, c.row.getHeaderBytes());
  base = b.add(base, wideUnit);
  SmallVector<Value> hasUnit;
  for (int64_t unit = 0; unit < unitsPerLane; ++unit)
    hasUnit.push_back(b.compare(
        Predicate::slt, b.add(firstUnit, unit * numLanes), units.count));
  bool isWhole = units.count % (numLanes * unitsPerLane) == 0;
  SmallVector<SmallVector<Value>> rows;
  auto load = [&](Value row) {
    Value exists = c.row.isQuantized() ? b.boolean(true) : isRow(row);
    SmallVector<Value> isThere(unitsPerLane, exists);
    if (!isWhole)
      for (auto [here, unit] : llvm::zip(isThere, hasUnit))
        here = b.both(exists, unit);
    Value address = b.addressOf(base, row, deviceRowBytes);
    rows.push_back(
        sums.load(address, numLanes * units.bytes, isThere, getWay()));
  };
  SmallVector<Value> handedOut;
  for (int64_t i = 0; i < chunk.rows; ++i) {
    handedOut.push_back(handOut(window.rows, chunk, i));
    // So many that none can wait for all others.
    if (chunk.rows > kMostHandedOut)
      load(handedOut.pop_back_val());
  }
  for (Value row : handedOut)
    load(row);
  return rows;
}

/// Behind the rows: a header is in the sector of its row's first units. In
/// front of them it would be a request of its own to the second level of the
/// cache, which is what bounds short rows.
SmallVector<Value> RowFetch::loadHeaders(const IdWindow &window,
                                         const Chunk &chunk) {
  SmallVector<Value> headers;
  Value zero = b.i32(0);
  if (!window.exist.empty() && getOrder() == LoadOrder::inOrder)
    b.orderLoads();
  for (auto [row, exists] : llvm::zip(window.rows, window.exist)) {
    Value isLoaded = exists;
    if (chunk.first) {
      Value inChunk = b.subtract(laneOfBag, chunk.first);
      Value isInChunk =
          b.compare(Predicate::ult, inChunk, chunk.rows * bagParts);
      isLoaded = b.both(exists, isInChunk);
    }
    Value address = b.addressOf(lookup.rows, row, deviceRowBytes);
    Value loaded =
        b.loadIf(isLoaded, address, zero, /*count=*/1, getWay()).front();
    headers.push_back(sums.prepareHeader(loaded));
  }
  return headers;
}

RowHeader RowFetch::getHeader(const IdWindow &window, ValueRange headers,
                              const Chunk &chunk, int64_t row) {
  RowHeader header;
  if (!headers.empty())
    header.scaleAndBias = handOut(headers, chunk, row);
  if (!window.weights.empty())
    header.weight = handOut(window.weights, chunk, row);
  return header;
}
