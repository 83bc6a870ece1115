//===- RowPieces.cpp - A row cut into vectors -----------------------------===//

#include "RowPieces.h"
#include "HalfFloat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

int64_t mlir::trec::getAccumulatorsPerPiece(RowType row) {
  return row.isQuantized() ? 8 / row.getBits() : 1;
}

SmallVector<RowPiece> mlir::trec::cutRow(RowType row, int64_t vectorWidth) {
  int64_t perLane = getAccumulatorsPerPiece(row);
  int64_t laneBytes = row.isQuantized() ? 1 : row.getBits() / 8;
  int64_t total = row.getDataBytes() / laneBytes;
  int64_t lanes =
      std::min<int64_t>(vectorWidth, int64_t(1) << llvm::Log2_64(total));
  SmallVector<RowPiece> pieces;
  for (int64_t begin = 0; begin < total; begin += lanes) {
    int64_t lane = std::min(begin, total - lanes);
    int64_t column = lane * perLane;
    pieces.push_back({lanes, row.getHeaderBytes() + lane * laneBytes, column,
                      std::min(lanes * perLane, row.getDim() - column)});
  }
  return pieces;
}

SmallVector<ArrayRef<RowPiece>> mlir::trec::cutPasses(ArrayRef<RowPiece> pieces,
                                                      RowType row,
                                                      int64_t accumulators) {
  size_t perPass =
      std::max<int64_t>(1, accumulators / getAccumulatorsPerPiece(row));
  SmallVector<ArrayRef<RowPiece>> passes;
  for (; !pieces.empty(); pieces = pieces.drop_front(passes.back().size()))
    passes.push_back(pieces.take_front(perPass));
  return passes;
}

static Value loadBytes(ImplicitLocOpBuilder &builder, Value rows, Value index,
                       int64_t firstByte, int64_t count) {
  Value byte = arith::ConstantIndexOp::create(builder, firstByte);
  return vector::LoadOp::create(builder,
                                VectorType::get({count}, builder.getI8Type()),
                                rows, ValueRange{index, byte});
}

static Value splat(ImplicitLocOpBuilder &builder, VectorType type,
                   int64_t value) {
  return arith::ConstantOp::create(
      builder, DenseElementsAttr::get(
                   type, builder.getIntegerAttr(type.getElementType(), value)));
}

static Value loadFloats(ImplicitLocOpBuilder &builder, Value bytes,
                        int64_t lanes, RowType row, HalfMode mode) {
  if (row.getWeights() == WeightsType::fp32)
    return vector::BitCastOp::create(
        builder, VectorType::get({lanes}, builder.getF32Type()), bytes);
  if (row.getWeights() == WeightsType::fp8)
    return widenFloat8(builder, bytes);
  if (row.getWeights() == WeightsType::bf16)
    return widenBFloat(
        builder,
        vector::BitCastOp::create(
            builder, VectorType::get({lanes}, builder.getI16Type()), bytes));
  Value halves = vector::BitCastOp::create(
      builder, VectorType::get({lanes}, builder.getF16Type()), bytes);
  return widenHalf(builder, halves, mode);
}

/// Whether the CPU can permute so many lanes by indices of so many bits.
static bool hasLookup(int64_t bits, int64_t lanes) {
  return lanes == 16 ? bits <= 4 : lanes == 8 && bits == 2;
}

/// Floats of the low bits of each lane, by a permutation of 0.0, 1.0, 2.0 …
/// that reads no other bits of its indices.
static Value lookUpCodes(ImplicitLocOpBuilder &builder, Value packed,
                         int64_t bits) {
  auto type = cast<VectorType>(packed.getType());
  int64_t lanes = type.getDimSize(0);
  auto floatType = VectorType::get({lanes}, builder.getF32Type());
  SmallVector<float> numbers;
  for (int64_t lane = 0; lane < lanes; ++lane)
    numbers.push_back(lane & ((1 << bits) - 1));
  Value table = arith::ConstantOp::create(
      builder, DenseElementsAttr::get(floatType, ArrayRef(numbers)));
  StringRef name = lanes == 8  ? "llvm.x86.avx.vpermilvar.ps.256"
                   : bits == 2 ? "llvm.x86.avx512.vpermilvar.ps.512"
                               : "llvm.x86.avx512.permvar.sf.512";
  return LLVM::CallIntrinsicOp::create(builder, floatType,
                                       builder.getStringAttr(name),
                                       ValueRange{table, packed})
      .getResult(0);
}

/// Floats of the low bits of each lane; the bits above are other codes, but for
/// the last code of a byte, which has zeros there.
static Value convertCodes(ImplicitLocOpBuilder &builder, Value packed,
                          int64_t bits, bool isLast) {
  auto type = cast<VectorType>(packed.getType());
  if (!isLast)
    packed = arith::AndIOp::create(builder, packed,
                                   splat(builder, type, (1 << bits) - 1));
  auto floatType = VectorType::get(type.getShape(), builder.getF32Type());
  return arith::SIToFPOp::create(builder, floatType, packed);
}

SmallVector<Value> mlir::trec::loadPiece(ImplicitLocOpBuilder &builder,
                                         Value rows, Value index,
                                         const RowPiece &piece, RowType row,
                                         LoweringConfigAttr lowering) {
  int64_t laneBytes = row.isQuantized() ? 1 : row.getBits() / 8;
  Value bytes =
      loadBytes(builder, rows, index, piece.firstByte, piece.lanes * laneBytes);
  if (!row.isQuantized())
    return {loadFloats(builder, bytes, piece.lanes, row, lowering.getHalf())};

  auto intType = VectorType::get({piece.lanes}, builder.getI32Type());
  Value packed = arith::ExtUIOp::create(builder, intType, bytes);
  int64_t bits = row.getBits();
  bool looksUp = lowering.getUnpack() == UnpackMode::lookup &&
                 hasLookup(bits, piece.lanes);
  SmallVector<Value> codes;
  for (int64_t shift = 0; shift < 8; shift += bits) {
    Value code = packed;
    if (shift)
      code =
          arith::ShRUIOp::create(builder, code, splat(builder, intType, shift));
    codes.push_back(looksUp ? lookUpCodes(builder, code, bits)
                            : convertCodes(builder, code, bits,
                                           /*isLast=*/shift + bits == 8));
  }
  return codes;
}

Value mlir::trec::interleavePiece(ImplicitLocOpBuilder &builder,
                                  ValueRange accumulators,
                                  const RowPiece &piece) {
  SmallVector<Value> parts(accumulators);
  // Joining the first half with the second, part by part, doubles the stride
  // between neighbours until one vector is left.
  while (parts.size() > 1) {
    size_t half = parts.size() / 2;
    SmallVector<Value> joined;
    for (size_t i = 0; i < half; ++i)
      joined.push_back(
          vector::InterleaveOp::create(builder, parts[i], parts[i + half]));
    parts = std::move(joined);
  }
  auto type = cast<VectorType>(parts.front().getType());
  if (type.getDimSize(0) == piece.numColumns)
    return parts.front();
  return vector::ExtractStridedSliceOp::create(
      builder, parts.front(), ArrayRef<int64_t>{0},
      ArrayRef<int64_t>{piece.numColumns}, ArrayRef<int64_t>{1});
}
