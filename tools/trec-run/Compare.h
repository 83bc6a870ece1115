//===- Compare.h - Outputs against the interpreter's ------------*- C++ -*-===//

#ifndef TREC_TOOLS_TREC_RUN_COMPARE_H
#define TREC_TOOLS_TREC_RUN_COMPARE_H

#include "trec/Run/OutputLayout.h"

#include "trec/Reference/Interpreter.h"

namespace mlir::trec {

/// Elements of all outputs.
int64_t countElements(const OutputLayout &layout, const OutputBuffers &got);

/// What elements may differ by: a part of other outputs, elements of which are
/// not less than those expected.
struct Tolerance {
  const Outputs &magnitudes;
  float part;
};

/// An error that says how many elements differ, by more than the tolerance
/// where there is one, and where the first is.
llvm::Error compareOutputs(const OutputLayout &layout, const Outputs &expected,
                           const OutputBuffers &got,
                           const Tolerance *tolerance);

} // namespace mlir::trec

#endif // TREC_TOOLS_TREC_RUN_COMPARE_H
