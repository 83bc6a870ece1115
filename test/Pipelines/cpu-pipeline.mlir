// RUN: trec-opt %s --trec-cpu-pipeline | FileCheck %s

// The whole way from what an importer writes to the LLVM dialect.

#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["ad_id"]>
!keyed = !trec.keyed_tensor<["ad_id"], [128], f32>

module @sparse attributes {trec.contract = 1 : i32} {
  trec.table @ads : !trec.table<1000x128, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "ad_id" : !kjt
    %checked = trec.check_bounds warning %ids in @ads
    %rows = trec.lookup @ads[%checked] : !trec.jagged<!trec.row<128, int8, #layout>>
    %values = trec.dequantize %rows : !trec.jagged<!trec.row<128, int8, #layout>>
    %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<128>>
    %out = trec.keyed_tensor %pooled : (tensor<?x128xf32>) -> !keyed
    return %out : !keyed
  }
}

// CHECK-NOT: trec.
// CHECK: llvm.func @trec_kernel_bag_sum_int8x128_align16_f32_i32(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK: llvm.func @trec_kernel_bag_sum_int8x128_align16_f32_i64
// CHECK: llvm.mlir.global external constant @trec_tables(dense<{{\[\[}}6, 1000, 144, 128, 2]]>
