//===- HalfFloat.h - Conversions of half floats -----------------*- C++ -*-===//
//
// Widens and rounds vectors of f16, bf16 and fp8, with the CPU's instructions
// or, for CPUs that have none, with integer arithmetic that gives the same
// bits.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_HALFFLOAT_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_HALFFLOAT_H

#include "trec/IR/TrecDialect.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

/// Widens a vector of f16 to f32. Exact; independent of the flush-to-zero mode.
Value widenHalf(ImplicitLocOpBuilder &builder, Value half, HalfMode mode);

/// Widens a vector of i16 that holds bf16 to f32. Exact.
Value widenBFloat(ImplicitLocOpBuilder &builder, Value bits);

/// Widens a vector of i8 that holds FBGEMM's 8-bit floats to f32. Exact.
Value widenFloat8(ImplicitLocOpBuilder &builder, Value bits);

/// The type that an output of `element` (f32, f16 or bf16) is stored as: where
/// integers make a half float it stays one, for code that hands such floats
/// from block to block calls a library to convert them, which changes NaNs.
Type getStoredType(Type element, HalfMode mode);

/// Rounds a vector of f32 to `element` as `trec.cast_output` defines it. The
/// result is of the stored type.
Value roundToOutput(ImplicitLocOpBuilder &builder, Value value, Type element,
                    HalfMode mode);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_HALFFLOAT_H
