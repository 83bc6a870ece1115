//===- ColumnSplit.h - A row's columns among lanes --------------*- C++ -*-===//
//
// Which columns of a row a lane sums: units that are as many lanes apart as
// share the row.
//
//   ColumnSplit split = ColumnSplit::ofGroup(configuration);
//   … units number lane, lane + split.lanes, … as many as split.unitsPerLane
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_COLUMNSPLIT_H
#define TREC_LIB_CONVERSION_TRECTOGPU_COLUMNSPLIT_H

#include "trec/Conversion/KernelGeometry.h"
#include "trec/IR/RowUnits.h"

namespace mlir::trec {

struct ColumnSplit {
  RowUnits units;
  int64_t lanes, unitsPerLane;

  /// Among the lanes of a group, as the lowering says.
  static ColumnSplit ofGroup(const BagConfiguration &c) {
    return {RowUnits::of(c.row), c.gpuLowering.getLanes(),
            c.gpuLowering.getUnitsPerLane()};
  }

  /// Among all threads of a block, in units as narrow as that asks for.
  static ColumnSplit ofBlock(const BagConfiguration &c) {
    int64_t threads = getThreadsPerBlock(c);
    RowUnits units = RowUnits::of(c.row);
    for (int64_t bytes = units.bytes / 2; 8 * bytes >= c.row.getBits();
         bytes /= 2) {
      RowUnits narrower = RowUnits::ofBytes(c.row, bytes);
      if (narrower.count > threads)
        break;
      units = narrower;
    }
    return {units, threads, int64_t(llvm::divideCeil(units.count, threads))};
  }
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_COLUMNSPLIT_H
