//===- DeviceSums.h - What a lane sums of its rows --------------*- C++ -*-===//
//
// A lane holds the sums of some units of a row (RowUnits.h), all as f32 scalars
// in column order: first its first unit's columns, then its second's.
//
//   DeviceSums sums(b, configuration);
//   SmallVector<Value> accumulators = sums.makeZeros();
//   SmallVector<Value> words = sums.load(address, stepBytes, {isRow}, way);
//   accumulators = sums.add(accumulators, words, {header, weight});
//
// A row that is not there is words, header and bias of zeros; its weight is
// `getWeightOfNone`: all of them together change no sum.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_DEVICESUMS_H
#define TREC_LIB_CONVERSION_TRECTOGPU_DEVICESUMS_H

#include "ColumnSplit.h"
#include "DeviceBuilder.h"

namespace mlir::trec {

/// What a row contributes besides its elements; null where there is none.
struct RowHeader {
  Value scaleAndBias; // an i32: two half floats, as `prepareHeader` gave them
  Value weight;       // an f32
};

class DeviceSums {
public:
  DeviceSums(DeviceBuilder &builder, const BagConfiguration &configuration,
             const ColumnSplit &split)
      : b(builder), row(configuration.row),
        numerics(configuration.gpuLowering.getNumerics()),
        unitsPerLane(split.unitsPerLane), units(split.units) {}

  const RowUnits &getUnits() const { return units; }

  /// Of a lane.
  int64_t getCount() const { return unitsPerLane * units.columns; }
  /// Sums start from +0, never from the first row: -0 must vanish.
  SmallVector<Value> makeZeros();
  /// Loads the units of a lane, `address` the first, `stepBytes` apart; zeros
  /// where a unit is not there.
  SmallVector<Value> load(Value address, int64_t stepBytes,
                          ArrayRef<Value> isThere, LoadWay way);
  /// Scale and bias as they lie in a row, an i32, the scale in its low half,
  /// for `add`: what is the same for all words of the row is done here, where
  /// one lane does it for all.
  Value prepareHeader(Value loaded);
  /// Adds a row to the sums.
  SmallVector<Value> add(ValueRange sums, ValueRange words,
                         const RowHeader &header);
  /// All columns of a word of a row, as f32, for `cpu` numbers of rows of codes
  /// the codes themselves.
  SmallVector<Value> widen(Value word, Value scaleAndBias);

private:
  Value takeField(Value word, int64_t field);
  SmallVector<Value> widenCodes(Value word, Value prepared);
  SmallVector<Value> convertCodes(Value word);
  SmallVector<Value> widenHalves(Value word);
  SmallVector<Value> widenBFloats(Value word);
  SmallVector<Value> widenFloats8(Value word);
  Value addElement(Value sum, Value element, Value weight);
  Value fma(Value x, Value y, Value sum) {
    return LLVM::FMAOp::create(b, x.getType(), x, y, sum);
  }
  std::pair<Value, Value> widenHeader(const RowHeader &header);

  DeviceBuilder &b;
  RowType row;
  GPUNumerics numerics;
  int64_t unitsPerLane;
  RowUnits units;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_DEVICESUMS_H
