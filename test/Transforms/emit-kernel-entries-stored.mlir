// RUN: trec-opt %s --convert-trec-to-vector --trec-emit-kernel-entries | FileCheck %s

// Where the output is of stored rows, the dim of a table counts their bytes.

#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [20], i8>

module @stored attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<1000x16, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !dict {
    %0 = trec.empty : !dict
    %1 = trec.embedding_group %kjt into %0 [#trec.bag<@t, "f", 0>] rows !trec.row<16, int8, #layout> bounds warning
      lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !dict
    return %1 : !dict
  }
}
// CHECK: builtin.unrealized_conversion_cast %{{.*}} to memref<?x20xi8, strided<[?, 1]>>
// Name, rows, bytes of a row, dim, type.
// CHECK: llvm.mlir.global external constant @trec_tables(dense<{{\[\[}}2, 1000, 32, 20, 2]]> : tensor<1x5xi64>)
