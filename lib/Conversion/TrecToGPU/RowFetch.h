//===- RowFetch.h - How lanes bring rows in ---------------------*- C++ -*-===//
//
// The ids of the next rows of a bag, and their headers and weights, are held
// one per lane of the bag's group and handed out by shuffles, so that each is
// loaded once:
//
//   RowFetch fetch(b, configuration, idType, lookup);
//   IdRange bag = {begin, end, isCounted};
//   SmallVector<Value> ids = fetch.loadIds(position, bag);
//   IdChunk chunk = fetch.resolve(ids, position, bag, badIds);
//   auto rows = fetch.loadRows(chunk, firstUnit); // all loads, then all sums
//   SmallVector<Value> headers = fetch.loadHeaders(chunk);
//   … = sums.add(…, rows[i], fetch.getHeader(chunk, headers, i));
//
// Positions are those in the values of a batch, i32.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_ROWFETCH_H
#define TREC_LIB_CONVERSION_TRECTOGPU_ROWFETCH_H

#include "DeviceIds.h"
#include "DeviceSums.h"

namespace mlir::trec {

/// Positions of ids, all i32, and whether bad ones are to be noted.
struct IdRange {
  Value begin, end;
  Value isNoted; // an i1
};

/// The next ids of a group, resolved; one per lane and slot.
struct IdChunk {
  SmallVector<Value> rows;    // i32
  SmallVector<Value> weights; // f32; empty where rows have none

  SmallVector<Value> getValues() const;
  static IdChunk of(ValueRange values, bool isWeighted);
};

/// Bad ids that a thread has seen, i32.
struct SeenBadIds {
  static constexpr int64_t kNone = std::numeric_limits<int32_t>::max();

  Value count;
  Value first; // the lowest position; kNone where there is none
};

class RowFetch {
public:
  RowFetch(DeviceBuilder &builder, const BagConfiguration &configuration,
           IntegerType idType, const Lookup &lookup);

  /// The lane within its group.
  Value getLane() const { return lane; }
  DeviceSums &getSums() { return sums; }
  int64_t getIdsPerLane() const { return idsPerLane; }

  /// The ids at `position` and behind it, as many as there are rows in flight.
  SmallVector<Value> loadIds(Value position, const IdRange &range);
  IdChunk resolve(ValueRange ids, Value position, const IdRange &range,
                  SeenBadIds &badIds);
  /// Words of each row in flight: the lane's units, `firstUnit` the first.
  SmallVector<SmallVector<Value>> loadRows(const IdChunk &chunk,
                                           Value firstUnit);
  /// What `getHeader` hands out; empty where rows have no headers.
  SmallVector<Value> loadHeaders(const IdChunk &chunk);
  RowHeader getHeader(const IdChunk &chunk, ValueRange headers, int64_t row);

private:
  Value getPosition(Value position, int64_t slot);
  Value isThere(Value position, const IdRange &range, int64_t slot);
  Value loadWeight(Value position, const IdRange &range, Value row,
                   Value isThere);
  Value isRow(Value row) { return b.compare(Predicate::ne, row, kNoRow); }
  Value handOut(ValueRange held, int64_t row) {
    return b.shuffle(held[row / numLanes], row % numLanes, numLanes);
  }

  DeviceBuilder &b;
  const BagConfiguration &c;
  IntegerType idType;
  const Lookup &lookup;
  DeviceSums sums;
  DeviceIds ids;
  int64_t numLanes, rowsInFlight, idsPerLane, deviceRowBytes;
  Value lane;
  Value weights; // address of an array of f32
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_ROWFETCH_H
