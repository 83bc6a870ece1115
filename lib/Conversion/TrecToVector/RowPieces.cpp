//===- RowPieces.cpp - A row cut into vectors -----------------------------===//

#include "RowPieces.h"
#include "HalfFloat.h"
#include "trec/Conversion/RowVectors.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

/// Whether each lane has a code of its own, not a byte.
static bool isSpread(RowType row, LoweringConfigAttr lowering) {
  return row.isQuantized() && row.getBits() < 8 && lowering.spreadsCodes();
}

int64_t mlir::trec::getAccumulatorsPerPiece(RowType row,
                                            LoweringConfigAttr lowering) {
  return cutIntoVectors(row, lowering).perPiece;
}

SmallVector<RowPiece> mlir::trec::cutRow(RowType row,
                                         LoweringConfigAttr lowering) {
  auto [lanes, perLane, numPieces] = cutIntoVectors(row, lowering);
  int64_t laneBits = row.getBits() * perLane;
  int64_t total = row.getDataBytes() * 8 / laneBits;
  SmallVector<RowPiece> pieces;
  for (int64_t i = 0; i < numPieces; ++i) {
    int64_t lane = std::min(i * lanes, total - lanes);
    int64_t column = lane * perLane;
    pieces.push_back({lanes, row.getHeaderBytes() + lane * laneBits / 8, column,
                      std::min(lanes * perLane, row.getDim() - column)});
  }
  return pieces;
}

SmallVector<ArrayRef<RowPiece>>
mlir::trec::cutPasses(ArrayRef<RowPiece> pieces, RowType row,
                      LoweringConfigAttr lowering) {
  size_t perPass = std::max<int64_t>(
      1, lowering.getAccumulators() / getAccumulatorsPerPiece(row, lowering));
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

bool mlir::trec::hasLookup(int64_t bits, int64_t lanes) {
  return lanes == 16 ? bits <= 4 : lanes == 8 && bits == 2;
}

Value mlir::trec::makeNumbers(ImplicitLocOpBuilder &builder, int64_t lanes,
                              function_ref<int64_t(int64_t)> number) {
  SmallVector<float> numbers;
  for (int64_t lane = 0; lane < lanes; ++lane)
    numbers.push_back(number(lane));
  auto type = VectorType::get({lanes}, builder.getF32Type());
  return arith::ConstantOp::create(
      builder, DenseElementsAttr::get(type, ArrayRef(numbers)));
}

Value mlir::trec::lookUp(ImplicitLocOpBuilder &builder, Value table,
                         Value codes, int64_t bits) {
  auto type = cast<VectorType>(table.getType());
  int64_t lanes = type.getDimSize(0);
  StringRef name = lanes == 8  ? "llvm.x86.avx.vpermilvar.ps.256"
                   : bits == 2 ? "llvm.x86.avx512.vpermilvar.ps.512"
                               : "llvm.x86.avx512.permvar.sf.512";
  return LLVM::CallIntrinsicOp::create(builder, type,
                                       builder.getStringAttr(name),
                                       ValueRange{table, codes})
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

static Value shiftRight(ImplicitLocOpBuilder &builder, Value codes,
                        int64_t by) {
  if (by == 0)
    return codes;
  return arith::ShRUIOp::create(
      builder, codes, splat(builder, cast<VectorType>(codes.getType()), by));
}

/// A lane of 32 bits for each byte.
static Value widenBytes(ImplicitLocOpBuilder &builder, Value bytes) {
  auto type = VectorType::get(cast<VectorType>(bytes.getType()).getShape(),
                              builder.getI32Type());
  return arith::ExtUIOp::create(builder, type, bytes);
}

/// The codes of a piece, each in a lane of its own. All lanes get the bytes of
/// all codes, as one number of at most 32 bits and as often as they have room,
/// or, of 64 bits, its lower and its upper half in turns.
static Value loadSpread(ImplicitLocOpBuilder &builder, Value rows, Value index,
                        const RowPiece &piece, int64_t bits) {
  int64_t pieceBits = piece.lanes * bits;
  Value bytes = loadBytes(builder, rows, index, piece.firstByte, pieceBits / 8);
  Type number = builder.getIntegerType(pieceBits);
  bytes =
      vector::BitCastOp::create(builder, VectorType::get({1}, number), bytes);
  auto words = VectorType::get({piece.lanes}, builder.getI32Type());
  auto copies = VectorType::get({piece.lanes * 32 / pieceBits}, number);
  Value all = vector::BitCastOp::create(
      builder, words,
      vector::BroadcastOp::create(
          builder, copies,
          vector::ExtractOp::create(builder, bytes, int64_t(0))));
  SmallVector<int32_t> shifts;
  for (int64_t lane = 0; lane < piece.lanes; ++lane)
    shifts.push_back(bits * (pieceBits > 32 ? lane / 2 : lane));
  Value by = arith::ConstantOp::create(
      builder, DenseElementsAttr::get(words, ArrayRef(shifts)));
  return arith::ShRUIOp::create(builder, all, by);
}

/// The bytes of a piece, each in a lane of 32 bits.
static Value loadPacked(ImplicitLocOpBuilder &builder, Value rows, Value index,
                        const RowPiece &piece) {
  return widenBytes(
      builder, loadBytes(builder, rows, index, piece.firstByte, piece.lanes));
}

SmallVector<Value> mlir::trec::loadCodePairs(ImplicitLocOpBuilder &builder,
                                             Value rows, ValueRange indices,
                                             const RowPiece &piece) {
  // Shifts and masks work on words: there are none for bytes.
  auto bytes = VectorType::get({piece.lanes}, builder.getI8Type());
  auto words = VectorType::get({piece.lanes / 4}, builder.getI32Type());
  auto load = [&](Value index) {
    Value loaded =
        loadBytes(builder, rows, index, piece.firstByte, piece.lanes);
    return vector::BitCastOp::create(builder, words, loaded);
  };
  Value low = load(indices[0]), high = load(indices[1]);
  // The first and third code of each byte of one row in the place of themselves
  // or of the second and fourth, and those of the other row above them.
  auto join = [&](Value first, Value second) -> Value {
    first = arith::AndIOp::create(builder, first,
                                  splat(builder, words, 0x33333333));
    second = arith::AndIOp::create(builder, second,
                                   splat(builder, words, int32_t(0xcccccccc)));
    Value both = arith::OrIOp::create(builder, first, second);
    return widenBytes(builder, vector::BitCastOp::create(builder, bytes, both));
  };
  Value raised = arith::ShLIOp::create(builder, high, splat(builder, words, 2));
  Value even = join(low, raised);
  Value odd = join(shiftRight(builder, low, 2), high);
  return {even, odd, shiftRight(builder, even, 4), shiftRight(builder, odd, 4)};
}

SmallVector<Value> mlir::trec::loadPiece(ImplicitLocOpBuilder &builder,
                                         Value rows, Value index,
                                         const RowPiece &piece, RowType row,
                                         LoweringConfigAttr lowering) {
  int64_t bits = row.getBits();
  if (!row.isQuantized()) {
    Value bytes = loadBytes(builder, rows, index, piece.firstByte,
                            piece.lanes * (bits / 8));
    return {loadFloats(builder, bytes, piece.lanes, row, lowering.getHalf())};
  }
  bool looksUp = lowering.looksUpCodes() && hasLookup(bits, piece.lanes);
  Value numbers;
  if (looksUp)
    numbers = makeNumbers(builder, piece.lanes, [&](int64_t lane) {
      return lane & ((1 << bits) - 1);
    });
  if (isSpread(row, lowering)) {
    Value codes = loadSpread(builder, rows, index, piece, bits);
    return {looksUp ? lookUp(builder, numbers, codes, bits)
                    : convertCodes(builder, codes, bits, /*isLast=*/false)};
  }
  Value packed = loadPacked(builder, rows, index, piece);
  SmallVector<Value> floats;
  for (int64_t shift = 0; shift < 8; shift += bits) {
    Value code = shiftRight(builder, packed, shift);
    floats.push_back(looksUp ? lookUp(builder, numbers, code, bits)
                             : convertCodes(builder, code, bits,
                                            /*isLast=*/shift + bits == 8));
  }
  return floats;
}

/// The columns of a piece whose codes were spread from 64 bits.
static Value joinHalves(ImplicitLocOpBuilder &builder, Value pooled,
                        const RowPiece &piece) {
  SmallVector<int64_t> order;
  for (int64_t column = 0; column < piece.numColumns; ++column)
    order.push_back(column * 2 % piece.lanes + column * 2 / piece.lanes);
  return vector::ShuffleOp::create(builder, pooled, pooled, order);
}

/// The first lanes of one, two or four parts, then the second ones, and so on.
/// Of four, pairs of floats are joined as what they then are, doubles: by
/// floats alone it would be one shuffle of four vectors to LLVM, which makes
/// shuffles and as many blends of it.
static Value joinParts(ImplicitLocOpBuilder &builder, ValueRange parts) {
  auto join = [&](Value first, Value second) -> Value {
    return vector::InterleaveOp::create(builder, first, second);
  };
  if (parts.size() == 1)
    return parts.front();
  if (parts.size() == 2)
    return join(parts[0], parts[1]);
  int64_t lanes = cast<VectorType>(parts.front().getType()).getDimSize(0);
  auto pairs = VectorType::get({lanes}, builder.getF64Type());
  auto joinPair = [&](Value first, Value second) -> Value {
    return vector::BitCastOp::create(builder, pairs, join(first, second));
  };
  Value low = joinPair(parts[0], parts[1]);
  Value high = joinPair(parts[2], parts[3]);
  return vector::BitCastOp::create(
      builder, VectorType::get({4 * lanes}, builder.getF32Type()),
      join(low, high));
}

Value mlir::trec::orderPiece(ImplicitLocOpBuilder &builder,
                             ValueRange accumulators, const RowPiece &piece,
                             RowType row, LoweringConfigAttr lowering) {
  if (isSpread(row, lowering) && piece.lanes * row.getBits() > 32)
    return joinHalves(builder, accumulators.front(), piece);
  Value columns = joinParts(builder, accumulators);
  auto type = cast<VectorType>(columns.getType());
  if (type.getDimSize(0) == piece.numColumns)
    return columns;
  return vector::ExtractStridedSliceOp::create(
      builder, columns, ArrayRef<int64_t>{0},
      ArrayRef<int64_t>{piece.numColumns}, ArrayRef<int64_t>{1});
}
