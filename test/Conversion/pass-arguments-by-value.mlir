// RUN: trec-opt %s --pass-pipeline="builtin.module(gpu.module(trec-pass-arguments-by-value))" | FileCheck %s

gpu.module @kernels {
  // CHECK: llvm.func @kernel(%{{.*}}: !llvm.ptr {llvm.align = 8 : i64, llvm.byval = !llvm.array<7 x i64>, nvvm.grid_constant}) attributes {gpu.kernel, nvvm.kernel} {
  llvm.func @kernel(%argument: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel, trec.argument_bytes = 56 : i64} {
    llvm.return
  }
  // Others stay as they are.
  // CHECK: llvm.func @other(%{{.*}}: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
  llvm.func @other(%argument: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
    llvm.return
  }
}
