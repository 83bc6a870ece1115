//===- Likely.h - Conditions that nearly always or never hold ---*- C++ -*-===//
//
// Code for what is likely is laid out in the line of the loop. Without a word
// LLVM takes both ways for alike, and rows that are fetched ahead cost two
// jumps each.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_LIKELY_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_LIKELY_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

/// The condition (i1), said to be true nearly always.
inline Value likely(ImplicitLocOpBuilder &builder, Value condition) {
  Value expected =
      arith::ConstantOp::create(builder, builder.getBoolAttr(true));
  return LLVM::ExpectOp::create(builder, condition, expected);
}

/// The condition (i1), said to be false nearly always.
inline Value unlikely(ImplicitLocOpBuilder &builder, Value condition) {
  Value expected =
      arith::ConstantOp::create(builder, builder.getBoolAttr(false));
  return LLVM::ExpectOp::create(builder, condition, expected);
}

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_LIKELY_H
