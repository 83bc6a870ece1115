//===- RowFetch.h - How lanes bring rows in ---------------------*- C++ -*-===//
//
// The ids of the next rows of a bag, and their headers and weights, are held
// one per lane of the bag's group and handed out by shuffles, so that each is
// loaded once. A window is what the lanes hold at a time, a chunk of it the
// rows that are in flight:
//
//   RowFetch fetch(b, configuration, idType, lookup);
//   SmallVector<Value> ids = fetch.loadIds(position, bag);
//   IdWindow window = fetch.resolve(ids, position, bag, hasBadId);
//   auto rows = fetch.loadRows(window, chunk, firstUnit); // all, then the sums
//   SmallVector<Value> headers = fetch.loadHeaders(window, chunk);
//   … = sums.add(…, rows[i], fetch.getHeader(window, headers, chunk, i));
//
// Positions are those in the values of a batch, i32. `bag` is an IdSpan.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_ROWFETCH_H
#define TREC_LIB_CONVERSION_TRECTOGPU_ROWFETCH_H

#include "DeviceIds.h"
#include "DeviceSums.h"

namespace mlir::trec {

/// The next ids of a group, resolved; one per lane and slot.
struct IdWindow {
  SmallVector<Value> rows;    // i32
  SmallVector<Value> exist;   // i1: there is such a row
  SmallVector<Value> weights; // f32; empty where rows have none

  SmallVector<Value> getValues() const;
  /// What `getValues` gave, of a window like this one.
  IdWindow withValues(ValueRange values) const;
};

/// Rows that are in flight together, of each group that shares a bag: theirs
/// are in turns.
struct Chunk {
  int64_t rows;
  Value first; // its place in the window, an i32; null: 0
};

class RowFetch {
public:
  RowFetch(DeviceBuilder &builder, const BagConfiguration &configuration,
           IntegerType idType, const Lookup &lookup, int64_t windowSize);

  /// The lane within its group.
  Value getLane() const { return lane; }
  DeviceSums &getSums() { return sums; }
  int64_t getWindowSize() const { return windowSize; }
  /// As many ids as there are lanes, if chunks divide them.
  static int64_t selectWindowSize(GPULoweringConfigAttr lowering);

  /// Whether chunks may begin anywhere in a window.
  bool hasOneIdPerLane() const { return idsPerLane == 1; }

  /// The ids at `position` and behind it, as many as a window has.
  SmallVector<Value> loadIds(Value position, const IdSpan &bag);
  /// `hasBadId`, an i1, becomes true where one of the ids is out of bounds.
  IdWindow resolve(ValueRange ids, Value position, const IdSpan &bag,
                   Value &hasBadId);
  /// Words of each row of a chunk: the lane's units, `firstUnit` the first.
  SmallVector<SmallVector<Value>> loadRows(const IdWindow &window,
                                           const Chunk &chunk, Value firstUnit);
  /// What belongs to these rows besides; empty where they have no headers. To
  /// be loaded behind them.
  SmallVector<Value> loadHeaders(const IdWindow &window, const Chunk &chunk);
  RowHeader getHeader(const IdWindow &window, ValueRange headers,
                      const Chunk &chunk, int64_t row);

private:
  Value getPosition(Value position, int64_t slot);
  Value isThere(Value position, const IdSpan &bag, int64_t slot);
  Value loadWeight(Value position, const IdSpan &bag, Value row);
  Value isRow(Value row) { return b.compare(Predicate::ne, row, kNoRow); }
  Value handOut(ValueRange held, const Chunk &chunk, int64_t row);
  /// Rows without headers have nothing to be in order with, and rows of one
  /// sector are one request in any order.
  LoadOrder getOrder() const {
    constexpr int64_t sectorBytes = 32;
    return c.row.isQuantized() && deviceRowBytes > sectorBytes
               ? LoadOrder::inOrder
               : LoadOrder::any;
  }
  LoadWay getWay() const {
    bool isFirst = c.gpuLowering.getEvictFirst();
    return {getOrder(), isFirst ? Eviction::first : Eviction::normal};
  }

  DeviceBuilder &b;
  const BagConfiguration &c;
  IntegerType idType;
  const Lookup &lookup;
  DeviceSums sums;
  DeviceIds ids;
  int64_t numLanes, rowsInFlight, windowSize;
  int64_t bagLanes, bagParts; // lanes of all groups that share a bag
  int64_t idsPerLane, deviceRowBytes;
  Value lane;      // within the group
  Value laneOfBag; // within those that share its bag
  Value part;      // of the bag, that the group adds
  Value weights;   // address of an array of f32
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_ROWFETCH_H
