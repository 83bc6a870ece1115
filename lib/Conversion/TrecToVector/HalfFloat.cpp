//===- HalfFloat.cpp - Conversions of half floats -------------------------===//

#include "HalfFloat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// Integer arithmetic on vectors of 32-bit lanes, written as in C. At most one
/// argument of a call makes ops: C++ does not fix the order of arguments, and
/// the order of ops must not depend on who compiled this.
struct Lanes {
  ImplicitLocOpBuilder &builder;
  int64_t count;

  VectorType type(Type element) const {
    return VectorType::get({count}, element);
  }
  VectorType i32() const { return type(builder.getI32Type()); }
  VectorType f32() const { return type(builder.getF32Type()); }

  Value constant(uint32_t bits) const {
    return arith::ConstantOp::create(
        builder, DenseElementsAttr::get(i32(), APInt(32, bits)));
  }
  Value bits(Value value) const {
    return vector::BitCastOp::create(builder, i32(), value);
  }
  Value real(Value value) const {
    return vector::BitCastOp::create(builder, f32(), value);
  }
  Value both(Value a, uint32_t mask) const {
    return arith::AndIOp::create(builder, a, constant(mask));
  }
  Value either(Value a, Value b) const {
    return arith::OrIOp::create(builder, a, b);
  }
  Value add(Value a, Value b) const {
    return arith::AddIOp::create(builder, a, b);
  }
  Value left(Value a, uint32_t by) const {
    return arith::ShLIOp::create(builder, a, constant(by));
  }
  Value right(Value a, uint32_t by) const {
    return arith::ShRUIOp::create(builder, a, constant(by));
  }
  Value less(Value a, uint32_t b) const {
    return arith::CmpIOp::create(builder, arith::CmpIPredicate::ult, a,
                                 constant(b));
  }
  Value select(Value condition, Value a, Value b) const {
    return arith::SelectOp::create(builder, condition, a, b);
  }
};

} // namespace

static Lanes lanesOf(ImplicitLocOpBuilder &builder, Value vector) {
  return {builder, cast<VectorType>(vector.getType()).getDimSize(0)};
}

/// f16 to f32 bit by bit: moves exponent and mantissa, rebiases, and treats
/// subnormals (through the exact value of their mantissa, so that no subnormal
/// f32 is touched) and infinities and NaNs (made quiet, as vcvtph2ps does)
/// apart.
static Value widenHalfWithIntegers(Lanes l, Value half) {
  ImplicitLocOpBuilder &b = l.builder;
  Value raw = vector::BitCastOp::create(b, l.type(b.getI16Type()), half);
  Value wide = arith::ExtUIOp::create(b, l.i32(), raw);
  Value sign = l.left(l.both(wide, 0x8000), 16);
  Value magnitude = l.both(wide, 0x7fff);
  Value moved = l.left(magnitude, 13);

  Value normal = l.add(moved, l.constant((127 - 15) << 23));
  Value exact = arith::SIToFPOp::create(b, l.f32(), magnitude);
  Value subnormal = l.bits(
      arith::MulFOp::create(b, exact, l.real(l.constant((127 - 24) << 23))));
  Value isNumber = l.less(magnitude, 0x7c01);
  Value none = l.constant(0);
  Value quiet = l.select(isNumber, none, l.constant(0x00400000));
  Value special = l.either(l.either(moved, l.constant(0x7f800000)), quiet);

  Value finite = l.select(l.less(magnitude, 0x0400), subnormal, normal);
  Value result = l.select(l.less(magnitude, 0x7c00), finite, special);
  return l.real(l.either(result, sign));
}

/// f32 to f16, to nearest with ties to even. A sum with 0.5 rounds the values
/// that become subnormal; an integer sum rounds the others.
static Value narrowHalfWithIntegers(Lanes l, Value value) {
  ImplicitLocOpBuilder &b = l.builder;
  Value bits = l.bits(value);
  Value sign = l.right(l.both(bits, 0x80000000u), 16);
  Value magnitude = l.both(bits, 0x7fffffff);

  Value half = l.constant(0x3f000000);
  Value realHalf = l.real(half);
  Value summed = arith::AddFOp::create(b, l.real(magnitude), realHalf);
  Value subnormal = arith::SubIOp::create(b, l.bits(summed), half);
  Value odd = l.both(l.right(magnitude, 13), 1);
  Value rebiased =
      l.add(magnitude, l.constant((uint32_t(15 - 127) << 23) + 0xfff));
  Value normal = l.right(l.add(rebiased, odd), 13);
  Value payload = l.both(l.right(magnitude, 13), 0x3ff);
  Value nan = l.either(payload, l.constant(0x7e00));
  Value infinity = l.constant(0x7c00);
  Value special = l.select(l.less(magnitude, 0x7f800001), infinity, nan);

  Value finite = l.select(l.less(magnitude, 0x38800000), subnormal, normal);
  Value result = l.select(l.less(magnitude, 0x47800000), finite, special);
  return arith::TruncIOp::create(b, l.type(b.getI16Type()),
                                 l.either(result, sign));
}

/// f32 to bf16 as FBGEMM does on a CPU, NaNs included.
static Value narrowBFloat(Lanes l, Value value) {
  ImplicitLocOpBuilder &b = l.builder;
  Value half = l.constant(0x8000);
  Value rounded = l.right(l.add(l.bits(value), half), 16);
  return arith::TruncIOp::create(b, l.type(b.getI16Type()), rounded);
}

Value mlir::trec::widenHalf(ImplicitLocOpBuilder &builder, Value half,
                            HalfMode mode) {
  Lanes lanes = lanesOf(builder, half);
  if (mode == HalfMode::integer)
    return widenHalfWithIntegers(lanes, half);
  return arith::ExtFOp::create(builder, lanes.f32(), half);
}

Value mlir::trec::widenBFloat(ImplicitLocOpBuilder &builder, Value bits) {
  Lanes l = lanesOf(builder, bits);
  Value wide = arith::ExtUIOp::create(builder, l.i32(), bits);
  return l.real(l.left(wide, 16));
}

/// The 7 bits of exponent and mantissa, moved to those of an f32, are the value
/// but for the bias of its exponent: a product with a power of two mends that,
/// for subnormals too.
Value mlir::trec::widenFloat8(ImplicitLocOpBuilder &builder, Value bits) {
  Lanes l = lanesOf(builder, bits);
  Value wide = arith::ExtUIOp::create(builder, l.i32(), bits);
  Value sign = l.left(l.both(wide, 0x80), 24);
  Value moved = l.left(l.both(wide, 0x7f), 20);
  Value magnitude = arith::MulFOp::create(
      builder, l.real(moved), l.real(l.constant((127 + 127 - 7) << 23)));
  return l.real(l.either(l.bits(magnitude), sign));
}

Type mlir::trec::getStoredType(Type element, HalfMode mode) {
  bool isInteger =
      element.isBF16() || (element.isF16() && mode == HalfMode::integer);
  return isInteger ? IntegerType::get(element.getContext(), 16) : element;
}

Value mlir::trec::roundToOutput(ImplicitLocOpBuilder &builder, Value value,
                                Type element, HalfMode mode) {
  Lanes lanes = lanesOf(builder, value);
  if (element.isF32())
    return value;
  if (element.isBF16())
    return narrowBFloat(lanes, value);
  if (mode == HalfMode::integer)
    return narrowHalfWithIntegers(lanes, value);
  return arith::TruncFOp::create(builder, lanes.type(element), value);
}
