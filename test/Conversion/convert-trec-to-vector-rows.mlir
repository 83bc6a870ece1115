// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Kernels that do not pool: begin and end are positions of ids, and the first id
// of the feature makes row 0 of its output.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [12], f32>
trec.table @t : !trec.table<1000x12, int8, #layout>
func.func @rows(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<12, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 3> : !kjt, !dict
  return %0 : !dict
}
// CHECK: trec.dispatch @rows_int8x12_align1_f32_i32, @rows_int8x12_align1_f32_i64(%{{.*}}) into %{{.*}} [#trec.bag<@t, "f", 0>] bounds warning : !kjt, !dict
// CHECK-LABEL: func.func private @rows_int8x12_align1_f32_i32(
// CHECK-SAME: %[[ROWS:[^:]*]]: memref<?x16xi8>, %[[IDS:[^:]*]]: memref<?xi32>, %[[OFFSETS:[^:]*]]: memref<?xi64>,
// CHECK-SAME: %[[OUTPUT:[^:]*]]: memref<?x12xf32, strided<[?, 1]>>
// CHECK-SAME: %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index)
// CHECK: %[[LAST:.*]] = arith.subi %[[END]],
// CHECK: %[[STORED:.*]] = memref.load %[[OFFSETS]]
// CHECK: %[[FIRST:.*]] = arith.index_cast %[[STORED]]
// CHECK: scf.for %[[POSITION:.*]] = %[[BEGIN]] to %[[END]]
// CHECK-NOT: memref.load %[[OFFSETS]]
// CHECK: %[[ROW:.*]] = arith.subi %[[POSITION]], %[[FIRST]] : index
// Prefetches stay within the ids of the call.
// CHECK: arith.cmpi sle, %{{.*}}, %[[LAST]]
// CHECK: memref.prefetch
// CHECK: memref.load %[[IDS]][%[[POSITION]]]
// The same roundings as a bag of one: from +0.
// CHECK: %[[SUMS:.*]]:2 = scf.if {{.*}} -> (vector<8xf32>, vector<8xf32>)
// CHECK: arith.addf
// CHECK: math.fma
// CHECK: arith.addf
// CHECK: math.fma
// CHECK-NOT: scf.for
// CHECK: vector.store %[[SUMS]]#0, %[[OUTPUT]][%[[ROW]], %{{.*}}]
// CHECK: vector.store %[[SUMS]]#1, %[[OUTPUT]][%[[ROW]], %{{.*}}]

// -----

// Two passes: the second neither reports nor fetches.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int8, #layout>
func.func @passes(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 1, prefetch_distance = 3> : !kjt, !dict
  return %0 : !dict
}
// CHECK-LABEL: func.func private @rows_int8x16_align1_f32_i32(
// CHECK: memref.prefetch
// CHECK: memref.store %{{.*}} : memref<2xi64>
// CHECK: vector.store
// CHECK-NOT: memref.prefetch
// CHECK-NOT: memref.store
// CHECK: vector.store
// CHECK: return

// -----

// bf16: the high half of an f32.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, bf16, #layout>
func.func @bf16(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, bf16, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_bf16x8_align1_f32_i32(
// CHECK: scf.for {{.*}} iter_args(%[[ACC:.*]] = %{{.*}}) -> (vector<8xf32>)
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x16xi8>, vector<16xi8>
// CHECK: %[[BITS:.*]] = vector.bitcast %[[BYTES]] : vector<16xi8> to vector<8xi16>
// CHECK: %[[WIDE:.*]] = arith.extui %[[BITS]] : vector<8xi16> to vector<8xi32>
// CHECK: %[[BY:.*]] = arith.constant dense<16>
// CHECK: %[[HIGH:.*]] = arith.shli %[[WIDE]], %[[BY]]
// CHECK: %[[FLOATS:.*]] = vector.bitcast %[[HIGH]] : vector<8xi32> to vector<8xf32>
// CHECK: arith.addf %[[ACC]], %[[FLOATS]]
// CHECK-NOT: arith.extf

// -----

// fp8, weighted: sign apart, exponent and mantissa moved, the bias mended by a
// product with 2^120.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, fp8, #layout>
func.func @fp8(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, fp8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_weighted_sum_fp8x8_align1_f32_i32(
// CHECK: scf.for {{.*}} iter_args(%[[ACC:.*]] = %{{.*}}) -> (vector<8xf32>)
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x8xi8>, vector<8xi8>
// CHECK: %[[WIDE:.*]] = arith.extui %[[BYTES]] : vector<8xi8> to vector<8xi32>
// CHECK: arith.constant dense<128>
// CHECK: arith.andi %[[WIDE]]
// CHECK: arith.constant dense<24>
// CHECK: %[[SIGN:.*]] = arith.shli
// CHECK: arith.constant dense<127>
// CHECK: arith.andi %[[WIDE]]
// CHECK: arith.constant dense<20>
// CHECK: arith.shli
// CHECK: arith.constant dense<2071986176>
// CHECK: %[[VALUE:.*]] = arith.mulf
// CHECK: %[[MAGNITUDE:.*]] = vector.bitcast %[[VALUE]]
// CHECK: %[[SIGNED:.*]] = arith.ori %[[MAGNITUDE]], %[[SIGN]]
// CHECK: %[[FLOATS:.*]] = vector.bitcast %[[SIGNED]] : vector<8xi32> to vector<8xf32>
// CHECK: %[[WEIGHTS:.*]] = vector.broadcast
// CHECK: math.fma %[[WEIGHTS]], %[[FLOATS]], %[[ACC]]
