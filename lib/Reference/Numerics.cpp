//===- Numerics.cpp - Half floats in integer arithmetic -------------------===//

#include "trec/Reference/Numerics.h"

#include "llvm/ADT/bit.h"

#include <cmath>

using namespace mlir::trec;

float mlir::trec::halfToFloat(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 0x1f;
  uint32_t mantissa = half & 0x3ff;
  if (exponent == 0x1f) {
    uint32_t quiet = mantissa ? 0x400000 : 0;
    return llvm::bit_cast<float>(sign | 0x7f800000 | mantissa << 13 | quiet);
  }
  // Subnormal numbers have no hidden bit and the exponent of the smallest
  // normal.
  float magnitude =
      exponent ? std::ldexp(float(mantissa | 0x400), int(exponent) - 25)
               : std::ldexp(float(mantissa), -24);
  return llvm::bit_cast<float>(sign | llvm::bit_cast<uint32_t>(magnitude));
}

uint16_t mlir::trec::floatToHalf(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  uint16_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return sign | 0x7e00 | (magnitude >> 13 & 0x1ff);
  // From 65520 on the nearest half would need a larger exponent.
  if (magnitude >= 0x477ff000)
    return sign | 0x7c00;
  // Below 2^-14 halves are the multiples of 2^-24; scaling by 2^24 is exact.
  if (magnitude < 0x38800000)
    return sign | uint16_t(std::nearbyint(
                      std::ldexp(llvm::bit_cast<float>(magnitude), 24)));
  // Half of the last place kept, less one where that place is even, so that
  // ties go to even; a carry runs into the exponent, as it should.
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return sign | uint16_t((rounded >> 13) - ((127 - 15) << 10));
}

float mlir::trec::bfloat16ToFloat(uint16_t value) {
  return llvm::bit_cast<float>(uint32_t(value) << 16);
}

float mlir::trec::float8ToFloat(uint8_t value) {
  int exponent = value >> 3 & 0xf, mantissa = value & 7;
  float magnitude = exponent ? std::ldexp(float(8 + mantissa), exponent - 10)
                             : std::ldexp(float(mantissa), -9);
  return value & 0x80 ? -magnitude : magnitude;
}

uint16_t mlir::trec::floatToBFloat16(float value) {
  return uint16_t((llvm::bit_cast<uint32_t>(value) + 0x8000) >> 16);
}
