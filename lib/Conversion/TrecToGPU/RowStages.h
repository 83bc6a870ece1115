//===- RowStages.h - Rows on their way to shared memory ---------*- C++ -*-===//
//
// A warp has some stages in shared memory, for a few rows of each of its bags.
// Rows come there by copies that no register takes part in, so that many are in
// flight while others are added:
//
//   RowStages stages(b, configuration, lookup, input.shared);
//   stages.copy(stage, window, numRows);   // starts
//   stages.commit();                       // what `wait` counts
//   stages.wait(numStages - 1);            // but for the last so many
//   stages.storeWeights(stage, window);
//   b.syncWarp();
//   StagedRow row = stages.load(stage, place, offset);
//
// In a stage row 0 of all bags of the warp comes first, then row 1, so that 16
// bytes of each lane are next to each other, whatever the rows are.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_ROWSTAGES_H
#define TREC_LIB_CONVERSION_TRECTOGPU_ROWSTAGES_H

#include "RowFetch.h"

namespace mlir::trec {

/// What a lane adds of a row.
struct StagedRow {
  SmallVector<Value> words;
  RowHeader header;
};

/// Stages and places in them are i32.
class RowStages {
public:
  /// `shared`: the address of the block's shared memory, an i64. `split`: of
  /// what is loaded.
  RowStages(DeviceBuilder &builder, const BagConfiguration &configuration,
            const Lookup &lookup, const ColumnSplit &split, Value shared);

  /// The stages of another warp of the block (an i32).
  RowStages ofWarp(Value warp) const;

  /// Starts to copy the first `numRows` rows (an i32) of a window, if there are
  /// any, and one more if they are odd: those that are not there are zeros.
  void copy(Value stage, const IdWindow &window, Value numRows);
  void commit();
  /// Waits for all of the lane's copies but those of the last `numPending`
  /// commits.
  void wait(int64_t numPending);
  /// The weights of a window, if rows have weights.
  void storeWeights(Value stage, const IdWindow &window);

  /// A row of the lane's bag, `offset` behind the place.
  StagedRow load(Value stage, Value place, int64_t offset);

private:
  void copyPieces(Value stageAddress, Value held, int64_t first);
  Value getStage(Value stage);
  Value getWeights(Value stage);
  int64_t getBagsPerWarp() { return DeviceBuilder::kWarpLanes / numLanes; }
  /// From a row of a bag to the next one.
  int64_t getRowStride() { return getBagsPerWarp() * rowBytes; }

  DeviceBuilder &b;
  const BagConfiguration &c;
  const Lookup &lookup;
  void setWarp(Value warp);

  ColumnSplit split;
  int64_t numLanes, rowsPerStage, rowBytes, stageBytes, weightBytes;
  Value shared;      // address of all warps' stages, an i64
  Value warpStages;  // address, an i64
  Value warpWeights; // the same; null where rows have none
  Value lane;        // of the warp
  Value laneOfGroup, group;
  Value laneOfRow; // of those that share a row that is loaded
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_ROWSTAGES_H
