// RUN: trec-opt %s --trec-cpu-pipeline=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: trec-opt %s --trec-cpu-pipeline=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-cpu-pipeline="cpu=x86-64-v4 suffix=.v4" | FileCheck %s --check-prefixes=CHECK,V4
// RUN: trec-opt %s --trec-cpu-pipeline=cpu=armv8-a | FileCheck %s --check-prefixes=CHECK,NEON
// RUN: trec-opt %s --trec-cpu-pipeline=cpu=sve-256 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: not trec-opt %s --trec-cpu-pipeline=cpu=x86-64-v5 2>&1 | FileCheck %s --check-prefix=LEVEL
// RUN: not trec-opt %s --trec-cpu-pipeline=level=x86-64-v3 2>&1 | FileCheck %s --check-prefix=OPTION

// LEVEL: error: expected a CPU level of x86-64-v2, x86-64-v3, x86-64-v4, armv8-a, sve-256 or sve-512, got 'x86-64-v5'
// OPTION: no such option level

#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["f", "g"], [64, 32], f16>

module @sparse attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<1000x64, int4, #layout>
  trec.table @u : !trec.table<?x32, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %f = trec.feature %kjt "f" : !kjt
    %f_checked = trec.check_bounds fatal %f in @t
    %f_rows = trec.lookup @t[%f_checked] : !trec.jagged<!trec.row<64, int4, #layout>>
    %f_values = trec.dequantize %f_rows : !trec.jagged<!trec.row<64, int4, #layout>>
    %f_pooled = trec.pool sum %f_values : !trec.jagged<!trec.dequantized<64>>
    %f_half = trec.cast_output %f_pooled : tensor<?x64xf32> -> tensor<?x64xf16>
    %g = trec.feature %kjt "g" : !kjt
    %g_checked = trec.check_bounds fatal %g in @u
    %g_rows = trec.lookup @u[%g_checked] : !trec.jagged<!trec.row<32, int8, #layout>>
    %g_values = trec.dequantize %g_rows : !trec.jagged<!trec.row<32, int8, #layout>>
    %g_pooled = trec.pool mean %g_values : !trec.jagged<!trec.dequantized<32>>
    %g_half = trec.cast_output %g_pooled : tensor<?x32xf32> -> tensor<?x32xf16>
    %out = trec.keyed_tensor %f_half, %g_half : (tensor<?x64xf16>, tensor<?x32xf16>) -> !keyed
    return %out : !keyed
  }
}

// Nothing but the LLVM dialect is left, and no cast between types of two dialects.
// CHECK-LABEL: module @sparse {
// CHECK-NOT: trec.
// CHECK-NOT: func.func
// CHECK-NOT: unrealized_conversion_cast
// V2: llvm.func @trec_kernel_bag_sum_int4x64_align1_f16_i32(
// V2-NOT: llvm.fptrunc {{.*}} to vector
// V2: vector<4xf32>
// V2-NOT: llvm.intr.fma
// V2: llvm.func @trec_kernel_bag_mean_int8x32_align1_f16_i64(
// V3: llvm.func @trec_kernel_bag_sum_int4x64_align1_f16_i32(
// V3: llvm.intr.fma({{.*}}) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
// V3: llvm.fptrunc %{{.*}} : vector<16xf32> to vector<16xf16>
// V3: llvm.func @trec_kernel_bag_mean_int8x32_align1_f16_i64(
// V4: llvm.func @trec_kernel_bag_sum_int4x64_align1_f16_i32.v4(
// V4: llvm.intr.fma({{.*}}) : (vector<16xf32>, vector<16xf32>, vector<16xf32>) -> vector<16xf32>
// V4: llvm.func @trec_kernel_bag_mean_int8x32_align1_f16_i64.v4(
// NEON: llvm.func @trec_kernel_bag_sum_int4x64_align1_f16_i32(
// NEON: llvm.intr.fma({{.*}}) : (vector<4xf32>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
// NEON: llvm.fptrunc %{{.*}} : vector<8xf32> to vector<8xf16>
// CHECK: llvm.mlir.global external constant @trec_tables(dense<{{\[\[}}4, 1000, 36, 64, 3], [6, -1, 36, 32, 2]]>
// V2: @trec_kernels()
// V3: @trec_kernels()
// NEON: @trec_kernels()
// V4: @trec_kernels.v4()
