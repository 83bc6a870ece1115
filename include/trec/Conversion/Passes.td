//===- Passes.td - Passes out of the trec dialect -----------------*- tablegen -*-===//
//
// Conversions to upstream dialects.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_CONVERSION_PASSES_TD
#define TREC_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertTrecToVectorPass : Pass<"convert-trec-to-vector", "::mlir::ModuleOp"> {
  let summary = "turn groups of lookups into CPU kernels";
  let description = [{
    Makes two functions of each group of lookups, for ids of 32 and of
    64 bits, in the `scf`, `vector`, `memref` and `arith` dialects, and leaves a
    `trec.dispatch` in its place. It obeys the group's `#trec.lowering_config` and
    fails where there is none.

    A kernel pools the bags `begin` to `end` of one feature through one table, or
    writes the rows of the ids at the positions `begin` to `end`; where the output
    is of stored rows, it copies them.
    Accumulators stay in vector registers over a bag; columns are vectorised, the
    rows of a bag are added strictly in order, which keeps the numeric contract
    (`trec.pool`) at every width. INT4 and INT2 codes keep one accumulator per
    position in a byte, put in column order once per bag.
  }];
  let statistics = [
    Statistic<"numKernels", "num-kernels", "Number of kernels made">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
}

#endif // TREC_CONVERSION_PASSES_TD
