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

def ConvertTrecToGPUPass : Pass<"convert-trec-to-gpu", "::mlir::ModuleOp"> {
  let summary = "turn groups of lookups into one GPU kernel";
  let description = [{
    Makes of all groups of a model a `gpu.module @trec_gpu` with the kernels
    `trec_forward_i32` and `trec_forward_i64`, for ids of 32 and of 64 bits, and
    `trec_scan_lengths`, in the `gpu`, `nvvm`, `scf`, `arith`, `vector` and `llvm`
    dialects. It obeys each group's `#trec.gpu_lowering_config`. The function over
    batches, tables and parameters are erased: what they say is in the descriptors
    that `trec-emit-kernel-entries` makes (include/trec/Runtime/DeviceABI.h).

    One launch runs all lookups. A block finds its lookup by its number and
    switches to the code of the lookup's group, by a number that all its threads
    share. There bags lie on groups of lanes; the rows of a bag are added strictly
    in order, which keeps the numeric contract at every number of lanes.

    Where a group has a schedule for few bags there are kernels for launches of
    these, `trec_forward_few_i32` and `_i64`, and where their rows come to stages
    for launches of so few that each bag has a block, whose warps share it,
    `trec_forward_shared_i32` and `_i64`.

    A kernel's one argument is a pointer to a struct that
    `trec-pass-arguments-by-value` lets the caller pass by value.

    Constraints:
    * C1: each group has a lowering.
    * C2: the lowerings of all groups agree in `warps`, `blocks_per_sm`,
      `few_blocks_per_sm` and `numerics`: they are of the one kernel.
    * C3: outputs are of floats: on GPUs FBGEMM's INT8 output is of another format
      than stored rows, and neither is made.
    * C4: rows that come to stages are pooled, each in one pass.
    * C5: the stages of a block fit into 48 KiB.
    * C6: rows are pooled where a bag has parts.
  }];
  let statistics = [
    Statistic<"numConfigurations", "num-configurations", "Number of groups that became a case of the kernel">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def PassArgumentsByValuePass : Pass<"trec-pass-arguments-by-value", "::mlir::gpu::GPUModuleOp"> {
  let summary = "let kernels take their struct by value";
  let description = [{
    The argument of each kernel whose function says by `trec.argument_bytes` how
    large its struct is becomes `llvm.byval` and `nvvm.grid_constant`: it lies in
    constant memory, where all threads read it without a copy. After
    `convert-gpu-to-nvvm`, which keeps neither attribute.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

#endif // TREC_CONVERSION_PASSES_TD
