//===- RowCopy.cpp - Stored rows as outputs -------------------------------===//

#include "RowCopy.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

/// Rows of more vectors are copied in a loop, so that code stays small; so many
/// vectors are a block of that loop.
static constexpr int64_t kStraightVectors = 16;
static constexpr int64_t kBlockVectors = 8;

RowCopy::RowCopy(ImplicitLocOpBuilder &builder, RowType row,
                 int64_t vectorWidth)
    : b(builder), rowBytes(row.getUsedBytes()) {
  constexpr int64_t laneBytes = 4;
  int64_t width = std::min<int64_t>(vectorWidth * laneBytes,
                                    int64_t(1) << llvm::Log2_64(rowBytes));
  type = VectorType::get({width}, b.getI8Type());
}

Value RowCopy::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

/// Visits the vectors of all whole blocks; the result is the byte behind them.
int64_t RowCopy::loopOverBlocks(VisitVector visit) {
  int64_t width = type.getDimSize(0), blockBytes = kBlockVectors * width;
  int64_t endByte = rowBytes / blockBytes * blockBytes;
  Value begin = index(0);
  Value end = index(endByte);
  Value step = index(blockBytes);
  auto blocks = scf::ForOp::create(b, begin, end, step);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(blocks.getBody());
  Value firstByte = blocks.getInductionVar();
  for (int64_t byte = 0; byte < blockBytes; byte += width) {
    Value offset = index(byte);
    visit(arith::AddIOp::create(b, firstByte, offset));
  }
  return endByte;
}

void RowCopy::forEachVector(VisitVector visit) {
  int64_t width = type.getDimSize(0), byte = 0;
  if (rowBytes > kStraightVectors * width)
    byte = loopOverBlocks(visit);
  for (; byte < rowBytes; byte += width)
    visit(index(std::min(byte, rowBytes - width)));
}

void RowCopy::copyRow(Value rows, Value index, Value output, Value outputRow) {
  forEachVector([&](Value firstByte) {
    Value bytes =
        vector::LoadOp::create(b, type, rows, ValueRange{index, firstByte});
    vector::StoreOp::create(b, bytes, output, ValueRange{outputRow, firstByte});
  });
}

void RowCopy::fillWithZeros(Value output, Value outputRow) {
  Value zeros = arith::ConstantOp::create(b, b.getZeroAttr(type));
  forEachVector([&](Value firstByte) {
    vector::StoreOp::create(b, zeros, output, ValueRange{outputRow, firstByte});
  });
}
