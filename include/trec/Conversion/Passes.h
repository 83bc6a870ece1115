//===- Passes.h - Passes out of the trec dialect ----------------*- C++ -*-===//
//
// Declares and registers the passes of Passes.td.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_CONVERSION_PASSES_H
#define TREC_CONVERSION_PASSES_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/Pass.h"

namespace mlir::trec {

#define GEN_PASS_DECL
#include "trec/Conversion/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "trec/Conversion/Passes.h.inc"

} // namespace mlir::trec

#endif // TREC_CONVERSION_PASSES_H
