//===- TrecDialect.h - The trec dialect in C++ ------------------*- C++ -*-===//
//
// Declares the dialect, its attributes, types and ops. Include this to read or
// build trec IR:
//
//   auto row = RowType::get(context, 128, WeightsType::int8, layout);
//   int64_t stride = row.getRowBytes();
//
// What each means is in the .td files beside this header, from which the
// reference is generated (`ninja mlir-doc`).
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECDIALECT_H
#define TREC_IR_TRECDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "trec/IR/TrecDialect.h.inc"
#include "trec/IR/TrecEnums.h.inc"

namespace mlir::trec {

/// The totals of bad ids, as a resource that checks of bounds write to.
struct CountersResource : public SideEffects::Resource::Base<CountersResource> {
  StringRef getName() override { return "trec.counters"; }
};

/// True for INT8, INT4 and INT2: codes with a scale and a bias.
bool isQuantized(WeightsType weights);

/// Bits of one element.
int64_t getBits(WeightsType weights);

} // namespace mlir::trec

#define GET_ATTRDEF_CLASSES
#include "trec/IR/TrecAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "trec/IR/TrecTypes.h.inc"

// After the types that its methods speak of.
#include "trec/IR/TrecInterfaces.h.inc"

#define GET_OP_CLASSES
#include "trec/IR/TrecOps.h.inc"

#endif // TREC_IR_TRECDIALECT_H
