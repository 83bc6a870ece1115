//===- DeviceSums.cpp - What a lane sums of its rows ----------------------===//
//
// The arithmetic of the numeric contract on GPUs. `fbgemm` is what FBGEMM's GPU
// kernels compute: each code becomes a half float by one multiply-add of two
// halves at a time, all sums are f32. `cpu` is what its CPU kernels compute.
// Every rounding is an op here; nothing is contracted later.
//
//===----------------------------------------------------------------------===//

#include "DeviceSums.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

SmallVector<Value> DeviceSums::makeZeros() {
  return SmallVector<Value>(getCount(), b.f32(0.0f));
}

SmallVector<Value> DeviceSums::load(Value address, int64_t stepBytes,
                                    ArrayRef<Value> isThere, LoadWay way) {
  Value nothing = b.i32(0);
  SmallVector<Value> words;
  for (auto [unit, exists] : llvm::enumerate(isThere)) {
    Value at = b.add(address, int64_t(unit) * stepBytes);
    llvm::append_range(words,
                       b.loadIf(exists, at, nothing, units.getWords(), way));
  }
  return words;
}

static VectorType getHalf2(DeviceBuilder &b) {
  return VectorType::get({2}, b.getF16Type());
}

static Value makeHalf(DeviceBuilder &b, double value) {
  return arith::ConstantOp::create(b, b.getFloatAttr(b.getF16Type(), value));
}

static Value splat(DeviceBuilder &b, Value half) {
  return vector::BroadcastOp::create(b, getHalf2(b), half);
}

/// Both halves of a pair as f32.
static std::pair<Value, Value> widenPair(DeviceBuilder &b, Value pair) {
  auto type = VectorType::get({2}, b.getF32Type());
  Value wide = arith::ExtFOp::create(b, type, pair);
  Value low = vector::ExtractOp::create(b, wide, 0);
  Value high = vector::ExtractOp::create(b, wide, 1);
  return {low, high};
}

/// Where a field of codes begins in the halves of a word, moved by whole bytes.
static int64_t getShift(int64_t bits, int64_t field) {
  return field * bits % 8;
}

/// The one that begins last.
static int64_t getLastShift(int64_t bits) { return 8 - bits; }

Value DeviceSums::prepareHeader(Value loaded) {
  if (!row.isQuantized() || numerics == GPUNumerics::cpu)
    return loaded;
  VectorType type = getHalf2(b);
  SmallVector<Attribute> both = {
      b.getF16FloatAttr(float(512 >> getLastShift(row.getBits()))),
      b.getF16FloatAttr(1.0f)};
  auto factors = DenseElementsAttr::get(type, both);
  Value factor = arith::ConstantOp::create(b, factors);
  Value header = arith::MulFOp::create(b, b.bits(type, loaded), factor);
  return b.bits(b.getI32Type(), header);
}

/// The codes of a field of both halves of a word, each at the low end of a half
/// but for the shift.
Value DeviceSums::takeField(Value word, int64_t field) {
  int64_t bits = row.getBits(), bytes = field * bits / 8;
  int64_t mask = ((int64_t(1) << bits) - 1) << getShift(bits, field);
  if (bits == 8 && bytes == 1)
    return b.takeOddBytes(word);
  return b.both(b.shiftRight(word, 8 * bytes), mask << 16 | mask);
}

/// Half a word's codes at a time would be 16 bits: the same field of both
/// halves of a word is unpacked together. As the bits of a half float a code q
/// at bit s is the subnormal q * 2^(s - 24). Times 2^15 it is normal, and the
/// scale carries the missing 2^(9 - s): as in FBGEMM, where that product
/// overflows from a scale of 128 on. A prepared header has that of the last
/// shift; what is greater is a product with a power of two of it, which rounds
/// nothing and overflows where that of the scale itself does.
///
/// Scales come first: with a product of codes in front of them the assembler
/// adds half of the columns of many rows before the others, and holds these.
SmallVector<Value> DeviceSums::widenCodes(Value word, Value prepared) {
  int64_t bits = row.getBits(), numFields = 16 / bits;
  Value header = b.bits(getHalf2(b), prepared);
  Value last = vector::ExtractOp::create(b, header, 0);
  Value bias = splat(b, vector::ExtractOp::create(b, header, 1));
  Value normalizer = splat(b, makeHalf(b, 32768.0));
  SmallVector<Value> scales;
  for (int64_t field = 0; field < numFields; ++field) {
    int64_t power = 1 << (getLastShift(bits) - getShift(bits, field));
    Value scale = last;
    if (power != 1)
      scale = arith::MulFOp::create(b, last, makeHalf(b, double(power)));
    scales.push_back(splat(b, scale));
  }
  SmallVector<Value> columns(2 * numFields);
  for (int64_t field = 0; field < numFields; ++field) {
    Value subnormal = b.bits(getHalf2(b), takeField(word, field));
    Value normal = arith::MulFOp::create(b, subnormal, normalizer);
    std::tie(columns[field], columns[field + numFields]) =
        widenPair(b, fma(normal, scales[field], bias));
  }
  return columns;
}

SmallVector<Value> DeviceSums::convertCodes(Value word) {
  int64_t bits = row.getBits();
  SmallVector<Value> columns;
  for (int64_t shift = 0; shift < 32; shift += bits) {
    Value code = b.both(b.shiftRight(word, shift), (int64_t(1) << bits) - 1);
    columns.push_back(arith::UIToFPOp::create(b, b.getF32Type(), code));
  }
  return columns;
}

SmallVector<Value> DeviceSums::widenHalves(Value word) {
  auto [low, high] = widenPair(b, b.bits(getHalf2(b), word));
  return {low, high};
}

SmallVector<Value> DeviceSums::widenBFloats(Value word) {
  Value low = b.bits(b.getF32Type(), b.shiftLeft(word, 16));
  Value high = b.bits(b.getF32Type(), b.both(word, int32_t(0xffff0000)));
  return {low, high};
}

/// The 7 bits of exponent and mantissa, moved to those of an f32, are the value
/// but for the bias of its exponent, which a product with a power of two mends,
/// for subnormals too.
SmallVector<Value> DeviceSums::widenFloats8(Value word) {
  Value bias = b.f32(0x1p120f);
  SmallVector<Value> columns;
  for (int64_t shift = 0; shift < 32; shift += 8) {
    Value byte = b.shiftRight(word, shift);
    Value sign = b.shiftLeft(b.both(byte, 0x80), 24);
    Value moved = b.shiftLeft(b.both(byte, 0x7f), 20);
    Value magnitude =
        arith::MulFOp::create(b, b.bits(b.getF32Type(), moved), bias);
    Value bits = b.either(b.bits(b.getI32Type(), magnitude), sign);
    columns.push_back(b.bits(b.getF32Type(), bits));
  }
  return columns;
}

SmallVector<Value> DeviceSums::widen(Value word, Value scaleAndBias) {
  switch (row.getWeights()) {
  case WeightsType::int8:
  case WeightsType::int4:
  case WeightsType::int2:
    return numerics == GPUNumerics::cpu ? convertCodes(word)
                                        : widenCodes(word, scaleAndBias);
  case WeightsType::fp32:
    return {b.bits(b.getF32Type(), word)};
  case WeightsType::fp16:
    return widenHalves(word);
  case WeightsType::bf16:
    return widenBFloats(word);
  case WeightsType::fp8:
    return widenFloats8(word);
  }
  llvm_unreachable("all types of weights are listed");
}

Value DeviceSums::addElement(Value sum, Value element, Value weight) {
  return weight ? fma(element, weight, sum)
                : Value(arith::AddFOp::create(b, sum, element));
}

/// Scale and bias as f32, each times the weight.
std::pair<Value, Value> DeviceSums::widenHeader(const RowHeader &header) {
  auto [scale, bias] = widenPair(b, b.bits(getHalf2(b), header.scaleAndBias));
  if (!header.weight)
    return {scale, bias};
  Value weightedScale = arith::MulFOp::create(b, scale, header.weight);
  Value weightedBias = arith::MulFOp::create(b, bias, header.weight);
  return {weightedScale, weightedBias};
}

SmallVector<Value> DeviceSums::add(ValueRange sums, ValueRange words,
                                   const RowHeader &header) {
  bool isCode = row.isQuantized() && numerics == GPUNumerics::cpu;
  Value scale, bias;
  if (isCode)
    std::tie(scale, bias) = widenHeader(header);
  SmallVector<Value> added;
  for (Value word : words) {
    SmallVector<Value> elements = widen(word, header.scaleAndBias);
    // A unit of less than a word is in its low bits.
    elements.truncate(std::min<size_t>(elements.size(), units.columns));
    for (Value element : elements) {
      Value sum = sums[added.size()];
      if (isCode)
        added.push_back(
            fma(element, scale, arith::AddFOp::create(b, sum, bias)));
      else
        added.push_back(addElement(sum, element, header.weight));
    }
  }
  return added;
}
