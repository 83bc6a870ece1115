// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// The types of output, and halves without instructions for them.

#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f16>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @f16(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x8_align1_f16_i32(
// CHECK-SAME: memref<?x8xf16, strided<[?, 1]>>
// CHECK: %[[POOLED:.*]] = scf.for {{.*}} -> (vector<8xf32>)
// CHECK: %[[HALF:.*]] = arith.truncf %[[POOLED]] : vector<8xf32> to vector<8xf16>
// CHECK: vector.store %[[HALF]], %{{.*}} : memref<?x8xf16, strided<[?, 1]>>, vector<8xf16>

// -----

// bf16: (bits + 0x8000) >> 16, as FBGEMM; never arith.truncf, which rounds to even.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], bf16>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @bf16(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x8_align1_bf16_i32(
// CHECK: %[[POOLED:.*]] = scf.for {{.*}} -> (vector<8xf32>)
// CHECK-NOT: arith.truncf
// CHECK: vector.bitcast %[[POOLED]] : vector<8xf32> to vector<8xi32>
// CHECK: arith.constant dense<32768> : vector<8xi32>
// CHECK: %[[SUM:.*]] = arith.addi
// CHECK: %[[BY:.*]] = arith.constant dense<16> : vector<8xi32>
// CHECK: %[[HIGH:.*]] = arith.shrui %[[SUM]], %[[BY]]
// CHECK: %[[NARROW:.*]] = arith.trunci %[[HIGH]] : vector<8xi32> to vector<8xi16>
// The integers are stored: as floats they would go through conversions.
// CHECK-NOT: arith.truncf
// CHECK: vector.store %[[NARROW]], %{{.*}} : memref<?x8xi16, strided<[?, 1]>>, vector<8xi16>

// -----

// half = integer: no conversion of halves is left, neither of headers and elements
// nor of the output.
#layout = #trec.row_layout<header = f16>
#float = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f", "g"], [8, 8], f16>
trec.table @t : !trec.table<1000x8, int8, #layout>
trec.table @u : !trec.table<1000x8, fp16, #float>
func.func @integer(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, half = integer> : !kjt, !keyed
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@u, "f", 8>]
    rows !trec.row<8, fp16, #float> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, half = integer> : !kjt, !keyed
  return %1 : !keyed
}
// CHECK-LABEL: func.func @integer(
// CHECK-NOT: arith.extf
// CHECK-NOT: arith.truncf
// CHECK-LABEL: func.func private @bag_sum_int8x8_align1_f16_i32(
// CHECK-NOT: arith.extf
// CHECK: %[[HALVES:.*]] = vector.bitcast %{{.*}} : vector<4xi8> to vector<2xf16>
// CHECK: vector.bitcast %[[HALVES]] : vector<2xf16> to vector<2xi16>
// CHECK: arith.extui %{{.*}} : vector<2xi16> to vector<2xi32>
// CHECK-NOT: arith.extf
// CHECK-NOT: arith.truncf
// CHECK: arith.trunci %{{.*}} : vector<8xi32> to vector<8xi16>
// CHECK: vector.store %{{.*}} : memref<?x8xi16, strided<[?, 1]>>, vector<8xi16>
// CHECK-LABEL: func.func private @bag_sum_fp16x8_align1_f16_i64(
// CHECK-NOT: arith.extf
// CHECK-NOT: arith.truncf
// CHECK: return

// -----

// Groups that differ only in their lowering: two kernels, two names.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f", "g"], [8, 8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @names(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@t, "f", 8>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %1 : !keyed
}
// CHECK-LABEL: func.func @names(
// CHECK: trec.dispatch @bag_sum_int8x8_align1_f32_i32, @bag_sum_int8x8_align1_f32_i64(
// CHECK: trec.dispatch @bag_sum_int8x8_align1_f32_i32_0, @bag_sum_int8x8_align1_f32_i64_{{[01]}}(
