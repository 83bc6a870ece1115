//===- RowVectors.cpp - How a row is cut into vectors ---------------------===//

#include "trec/Conversion/RowVectors.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

/// Of codes that are spread, those of so many bits are loaded at once.
static constexpr int64_t kSpreadBits = 64;

RowVectors mlir::trec::cutIntoVectors(RowType row, int64_t vectorWidth,
                                      bool isSpread) {
  int64_t codesPerByte = row.isQuantized() ? 8 / row.getBits() : 1;
  int64_t total = row.isQuantized() ? row.getDataBytes() : row.getDim();
  int64_t lanes = vectorWidth, perPiece = codesPerByte;
  if (isSpread && codesPerByte > 1) {
    total *= codesPerByte;
    perPiece = 1;
    lanes = std::min(lanes, kSpreadBits / row.getBits());
  }
  lanes = std::min<int64_t>(lanes, int64_t(1) << llvm::Log2_64(total));
  return {lanes, perPiece, int64_t(llvm::divideCeil(total, lanes))};
}

RowVectors mlir::trec::cutIntoVectors(RowType row,
                                      LoweringConfigAttr lowering) {
  return cutIntoVectors(row, lowering.getVectorWidth(),
                        lowering.spreadsCodes());
}
