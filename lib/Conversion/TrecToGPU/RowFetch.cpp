//===- RowFetch.cpp - How lanes bring rows in -----------------------------===//

#include "RowFetch.h"

using namespace mlir;
using namespace mlir::trec;

SmallVector<Value> IdChunk::getValues() const {
  SmallVector<Value> values = rows;
  llvm::append_range(values, weights);
  return values;
}

IdChunk IdChunk::of(ValueRange values, bool isWeighted) {
  size_t count = isWeighted ? values.size() / 2 : values.size();
  return {llvm::to_vector_of<Value>(values.take_front(count)),
          llvm::to_vector_of<Value>(values.drop_front(count))};
}

RowFetch::RowFetch(DeviceBuilder &builder,
                   const BagConfiguration &configuration, IntegerType idType,
                   const Lookup &lookup)
    : b(builder), c(configuration), idType(idType), lookup(lookup),
      sums(builder, configuration), ids(builder, configuration.remap, lookup),
      numLanes(configuration.gpuLowering.getLanes()),
      rowsInFlight(configuration.gpuLowering.getRowsInFlight()),
      idsPerLane(llvm::divideCeil(rowsInFlight, numLanes)),
      deviceRowBytes(getDeviceRowBytes(configuration.row)) {
  lane = b.both(b.threadId(), numLanes - 1);
  if (c.weighting == Weighting::sample)
    weights = lookup.sampleWeights;
  if (c.weighting == Weighting::position)
    weights = lookup.loadPositionWeights(b);
}

/// Slot i of all lanes holds the ids behind those of slot i - 1.
Value RowFetch::getPosition(Value position, int64_t slot) {
  return b.add(b.add(position, lane), slot * numLanes);
}

/// Lanes beyond the rows in flight hold nothing: their ids are the next
/// chunk's.
Value RowFetch::isThere(Value position, const IdRange &range, int64_t slot) {
  Value inRange = b.compare(Predicate::slt, position, range.end);
  int64_t numLeft = rowsInFlight - slot * numLanes;
  if (numLeft >= numLanes)
    return inRange;
  return b.both(inRange, b.compare(Predicate::slt, lane, numLeft));
}

SmallVector<Value> RowFetch::loadIds(Value position, const IdRange &range) {
  Value none = b.constant(idType, -1);
  SmallVector<Value> loaded;
  for (int64_t slot = 0; slot < idsPerLane; ++slot) {
    Value at = getPosition(position, slot);
    Value address = b.addressOf(lookup.values, at, idType.getWidth() / 8);
    Value exists = isThere(at, range, slot);
    llvm::append_range(loaded, b.loadIf(exists, address, none));
  }
  return loaded;
}

/// Rows that are not there must change nothing. Zeros times -0 do so, whatever
/// the sum is; FBGEMM's GPU kernels take 0 as the weight of an id of -1.
Value RowFetch::loadWeight(Value position, const IdRange &range, Value row,
                           Value isThere) {
  Value index = c.weighting == Weighting::position
                    ? b.subtract(position, range.begin)
                    : position;
  Value address = b.addressOf(weights, index, 4);
  constexpr int64_t minusZero = std::numeric_limits<int32_t>::min();
  Value nothing = b.i32(minusZero);
  if (c.gpuLowering.getNumerics() == GPUNumerics::fbgemm)
    nothing = b.select(isThere, b.i32(0), nothing);
  Value bits = b.loadIf(isRow(row), address, nothing).front();
  return b.bits(b.getF32Type(), bits);
}

IdChunk RowFetch::resolve(ValueRange loaded, Value position,
                          const IdRange &range, SeenBadIds &badIds) {
  IdChunk chunk;
  for (auto [slot, id] : llvm::enumerate(loaded)) {
    Value at = getPosition(position, slot);
    Value exists = isThere(at, range, slot);
    ResolvedId resolved = ids.resolve(id, exists);
    chunk.rows.push_back(resolved.row);
    if (c.isWeighted())
      chunk.weights.push_back(loadWeight(at, range, resolved.row, exists));
    Value isBad = b.both(resolved.isBad, range.isNoted);
    Value one = arith::ExtUIOp::create(b, b.getI32Type(), isBad);
    badIds.count = b.add(badIds.count, one);
    Value first = arith::MinSIOp::create(b, badIds.first, at);
    badIds.first = b.select(isBad, first, badIds.first);
  }
  return chunk;
}

SmallVector<SmallVector<Value>> RowFetch::loadRows(const IdChunk &chunk,
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
  SmallVector<Value> handedOut;
  for (int64_t i = 0; i < rowsInFlight; ++i)
    handedOut.push_back(handOut(chunk.rows, i));
  SmallVector<SmallVector<Value>> rows;
  for (Value row : handedOut) {
    Value exists = isRow(row);
    SmallVector<Value> isThere(unitsPerLane, exists);
    if (!isWhole)
      for (auto [here, unit] : llvm::zip(isThere, hasUnit))
        here = b.both(exists, unit);
    Value address = b.addressOf(base, row, deviceRowBytes);
    rows.push_back(sums.load(address, numLanes * units.bytes, isThere));
  }
  return rows;
}

SmallVector<Value> RowFetch::loadHeaders(const IdChunk &chunk) {
  SmallVector<Value> headers;
  if (!c.row.isQuantized())
    return headers;
  Value nothing = b.i32(0);
  for (Value row : chunk.rows) {
    Value address = b.addressOf(lookup.rows, row, deviceRowBytes);
    llvm::append_range(headers, b.loadIf(isRow(row), address, nothing));
  }
  return headers;
}

RowHeader RowFetch::getHeader(const IdChunk &chunk, ValueRange headers,
                              int64_t row) {
  RowHeader header;
  if (!headers.empty())
    header.scaleAndBias = handOut(headers, row);
  if (!chunk.weights.empty())
    header.weight = handOut(chunk.weights, row);
  return header;
}
