//===- RowPieces.h - A row cut into vectors ---------------------*- C++ -*-===//
//
// A kernel reads a row in pieces, each as many bytes as one vector of codes (or
// as many floats as one accumulator). All pieces have the same number of lanes,
// a power of two, and nothing past the row's last byte is read: where lanes do
// not divide the row, the last piece begins within the one before it, and the
// columns that both have are the same numbers. 100 INT8 columns at 16 lanes are
// six pieces of 16 and one that begins at column 84.
//
// Of INT4 and INT2 a piece is either as many bytes as there are lanes, and has
// an accumulator for each code of a byte; or, where codes are spread, as many
// codes.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_ROWPIECES_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_ROWPIECES_H

#include "trec/IR/TrecDialect.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

/// A run of columns that one load brings in.
struct RowPiece {
  int64_t lanes;      // of each of its accumulators
  int64_t firstByte;  // from the start of the row
  int64_t column;     // the first
  int64_t numColumns; // less than the codes loaded, in the last byte of a row
};

/// Codes that share a byte, each kept in an accumulator of its own; 1 for INT8,
/// for floats, and where codes are spread.
int64_t getAccumulatorsPerPiece(RowType row, LoweringConfigAttr lowering);

/// All pieces of a row, the first column first.
SmallVector<RowPiece> cutRow(RowType row, LoweringConfigAttr lowering);

/// The pieces that one pass over a bag pools, such that their accumulators fit.
SmallVector<ArrayRef<RowPiece>>
cutPasses(ArrayRef<RowPiece> pieces, RowType row, LoweringConfigAttr lowering);

/// Loads a piece of row `index`: one vector of f32 per accumulator, codes of
/// integer rows as whole numbers.
SmallVector<Value> loadPiece(ImplicitLocOpBuilder &builder, Value rows,
                             Value index, const RowPiece &piece, RowType row,
                             LoweringConfigAttr lowering);

/// Loads the codes of a piece of two rows of INT2: one vector of i32 per
/// accumulator. A code of the first row is in the two lowest bits, that of the
/// second above it; the bits further up are other codes.
SmallVector<Value> loadCodePairs(ImplicitLocOpBuilder &builder, Value rows,
                                 ValueRange indices, const RowPiece &piece);

/// Whether the CPU can permute so many lanes by indices of so many bits.
bool hasLookup(int64_t bits, int64_t lanes);

/// The constant vector whose lanes are what `number` gives for their index.
Value makeNumbers(ImplicitLocOpBuilder &builder, int64_t lanes,
                  function_ref<int64_t(int64_t)> number);

/// For each lane the element of `table` that the low bits of its code name: 2
/// or 4 of them, of which `hasLookup` is true. For 2 the table repeats.
Value lookUp(ImplicitLocOpBuilder &builder, Value table, Value codes,
             int64_t bits);

/// Puts the accumulators of a piece in column order.
Value orderPiece(ImplicitLocOpBuilder &builder, ValueRange accumulators,
                 const RowPiece &piece, RowType row,
                 LoweringConfigAttr lowering);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_ROWPIECES_H
