//===- Passes.h - Passes from trec to trec ----------------------*- C++ -*-===//
//
// Declares and registers the passes of Passes.td.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_PASSES_H
#define TREC_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::LLVM {
class LLVMDialect;
}
namespace mlir::func {
class FuncDialect;
}

namespace mlir::trec {
class TrecDialect;

#define GEN_PASS_DECL
#include "trec/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "trec/Transforms/Passes.h.inc"

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_PASSES_H
