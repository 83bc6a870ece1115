//===- OutputRow.h - Sums to a row of the output ----------------*- C++ -*-===//
//
// Rounds the sums of a lane (DeviceSums.h) and stores them, 8 or 16 bytes at a
// time where the row lies so:
//
//   OutputRow output(b, configuration);
//   output.store(address, firstUnit, sums);
//
// What is stored is not read again by kernels: stores ask not to be cached.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_OUTPUTROW_H
#define TREC_LIB_CONVERSION_TRECTOGPU_OUTPUTROW_H

#include "ColumnSplit.h"
#include "DeviceBuilder.h"

namespace mlir::trec {

class OutputRow {
public:
  OutputRow(DeviceBuilder &builder, const BagConfiguration &configuration,
            const ColumnSplit &split);

  /// Stores the units from `firstUnit` on, as many lanes apart as share a row,
  /// into the row at `address`, if `exists` (an i1); those that the row has.
  void store(Value address, Value firstUnit, ValueRange sums, Value exists);

  /// Bytes of an element.
  int64_t getElementBytes() const { return elementBytes; }

private:
  void storeUnits(Value address, Value firstUnit, ValueRange sums,
                  bool isAligned);
  void storeWhole(Value address, ArrayRef<Value> words, Value isThere,
                  bool isAligned);
  void storeColumns(Value address, ArrayRef<Value> words, Value isThere,
                    int64_t count);
  void storeVector(Value address, ArrayRef<Value> words, Value isThere);
  SmallVector<Value> round(ValueRange columns);
  Value roundPair(Value low, Value high);
  Value roundBFloats(Value low, Value high);

  DeviceBuilder &b;
  Type element;
  GPUNumerics numerics;
  ColumnSplit split;
  int64_t dim, elementBytes;
  int64_t pieceBytes; // of a vector store
  Value exists;       // the row that is stored
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_OUTPUTROW_H
