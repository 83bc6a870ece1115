//===- Numerics.h - Half floats in integer arithmetic -----------*- C++ -*-===//
//
// Conversions between fp32 and the half floats that rows and outputs hold,
// without the CPU's instructions for them: what those must agree with.
//
//   float scale = halfToFloat(0x3c00); // 1.0
//
//===----------------------------------------------------------------------===//

#ifndef TREC_REFERENCE_NUMERICS_H
#define TREC_REFERENCE_NUMERICS_H

#include <cstdint>

namespace mlir::trec {

/// Exact. A signaling NaN becomes quiet, as CPUs do it.
float halfToFloat(uint16_t half);

/// To the nearest, ties to even; too large gives infinity. A NaN keeps the high
/// bits of its payload and becomes quiet.
uint16_t floatToHalf(float value);

/// Exact.
float bfloat16ToFloat(uint16_t value);

/// FBGEMM's 8-bit float: sign, 4 bits of exponent with bias 7, 3 of mantissa.
/// Exact; every value is finite.
float float8ToFloat(uint8_t value);

/// FBGEMM's rounding, `(bits + 0x8000) >> 16`: to the nearest, ties away from
/// zero. Differs from IEEE rounding on ties, and some NaNs become numbers.
uint16_t floatToBFloat16(float value);

} // namespace mlir::trec

#endif // TREC_REFERENCE_NUMERICS_H
