//===- OutputRows.h - Writing the rows of an output -------------*- C++ -*-===//
//
// The row of the output that a bag has, or an id without pooling:
//
//   OutputRows outputRows(b, configuration, output, stores);
//   outputRows.setLast(lastBag);       // before the loop over bags
//   outputRows.fetch(bag);             // in it
//   outputRows.store(bag, pieces, accumulators, mean);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_OUTPUTROWS_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_OUTPUTROWS_H

#include "RowPieces.h"
#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

class OutputRows {
public:
  /// `stores`: TREC_STORES_* of the call.
  OutputRows(ImplicitLocOpBuilder &builder,
             const BagConfiguration &configuration, Value output, Value stores)
      : b(builder), c(configuration), output(output), stores(stores) {}

  /// No row after `last` is fetched.
  void setLast(Value last);
  /// Fetches the lines of the row that the lowering wants fetched before `row`
  /// is made, where the call has outputs fetched.
  void fetch(Value row);
  /// Rounds the sums of some pieces, times `mean` where there is one, and
  /// writes them to their columns of `row`.
  void store(Value row, ArrayRef<RowPiece> pieces, ValueRange accumulators,
             Value mean = {});

private:
  Value storesAre(int64_t mode);
  Value index(int64_t value);
  void storePiece(Value row, const RowPiece &piece, Value value,
                  bool isStreaming);

  ImplicitLocOpBuilder &b;
  const BagConfiguration &c;
  Value output, stores;
  Value lastFetched; // -1: none is
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_OUTPUTROWS_H
