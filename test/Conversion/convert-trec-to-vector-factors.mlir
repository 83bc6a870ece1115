// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Weighted codes: scale and bias are each multiplied by the weight, once per row.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int8, #layout>
func.func @weighted_codes(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK: trec.dispatch @bag_weighted_sum_int8x16_align1_f32_i32, @bag_weighted_sum_int8x16_align1_f32_i64(
// CHECK-LABEL: func.func private @bag_weighted_sum_int8x16_align1_f32_i32(
// CHECK-SAME: %[[WEIGHTS:[^:]*]]: memref<?xf32>
// CHECK: scf.for {{.*}} iter_args(
// CHECK: %[[WEIGHT:.*]] = memref.load %[[WEIGHTS]][
// CHECK: %[[BOTH:.*]] = vector.broadcast %[[WEIGHT]] : f32 to vector<4xf32>
// CHECK: %[[HEADER:.*]] = arith.mulf %{{.*}}, %[[BOTH]] : vector<4xf32>
// CHECK: %[[WSCALE:.*]] = vector.extract %[[HEADER]][0] : f32
// CHECK: %[[SCALES:.*]] = vector.broadcast %[[WSCALE]]
// CHECK: %[[WBIAS:.*]] = vector.extract %[[HEADER]][1] : f32
// CHECK: %[[BIASES:.*]] = vector.broadcast %[[WBIAS]]
// CHECK-NOT: arith.mulf
// CHECK: arith.addf %{{.*}}, %[[BIASES]]
// CHECK: math.fma %{{.*}}, %[[SCALES]]
// CHECK: arith.addf %{{.*}}, %[[BIASES]]
// CHECK: math.fma %{{.*}}, %[[SCALES]]

// -----

// fp16: widened and added, without a header.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [12], f32>
trec.table @t : !trec.table<1000x12, fp16, #layout>
func.func @fp16(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<12, fp16, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_fp16x12_align1_f32_i32(
// CHECK-SAME: memref<?x24xi8>
// CHECK: scf.for {{.*}} iter_args(%[[ACC0:.*]] = %{{.*}}, %[[ACC1:.*]] = %{{.*}}) -> (vector<8xf32>, vector<8xf32>)
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x24xi8>, vector<16xi8>
// CHECK: %[[HALVES:.*]] = vector.bitcast %[[BYTES]] : vector<16xi8> to vector<8xf16>
// CHECK: %[[FLOATS:.*]] = arith.extf %[[HALVES]]
// CHECK: arith.addf %[[ACC0]], %[[FLOATS]]
// CHECK: arith.constant 8 : index
// CHECK: vector.load %{{.*}} : memref<?x24xi8>, vector<16xi8>
// CHECK: arith.addf %[[ACC1]]
// CHECK-NOT: math.fma
// CHECK: return

// -----

// Weighted fp32: fma(w, v, acc).
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, fp32, #layout>
func.func @weighted_fp32(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, fp32, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_weighted_sum_fp32x8_align1_f32_i32(
// CHECK-SAME: memref<?x32xi8>
// CHECK: scf.for {{.*}} iter_args(%[[ACC:.*]] = %{{.*}}) -> (vector<8xf32>)
// CHECK: %[[WEIGHT:.*]] = memref.load %{{.*}} : memref<?xf32>
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x32xi8>, vector<32xi8>
// CHECK: %[[FLOATS:.*]] = vector.bitcast %[[BYTES]] : vector<32xi8> to vector<8xf32>
// CHECK: %[[WEIGHTS:.*]] = vector.broadcast %[[WEIGHT]] : f32 to vector<8xf32>
// CHECK: math.fma %[[WEIGHTS]], %[[FLOATS]], %[[ACC]]
// CHECK-NOT: arith.addf
// CHECK: return

// -----

// Mean: one division per bag, after its rows; an empty bag gives 0.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [12], f32>
trec.table @t : !trec.table<1000x12, fp32, #layout>
func.func @mean(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group mean %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<12, fp32, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_mean_fp32x12_align1_f32_i32(
// CHECK: %[[POOLED:.*]]:2 = scf.for %{{.*}} = %[[FIRST:.*]] to %[[LAST:.*]] step
// CHECK-NOT: arith.divf
// CHECK: arith.addf
// CHECK: arith.addf
// CHECK: %[[LENGTH:.*]] = arith.subi %[[LAST]], %[[FIRST]] : index
// CHECK: %[[EMPTY:.*]] = arith.cmpi eq, %[[LENGTH]], %{{.*}} : index
// CHECK: %[[COUNT:.*]] = arith.sitofp %{{.*}} : i64 to f32
// CHECK: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
// CHECK: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[INVERSE:.*]] = arith.divf %[[ONE]], %[[COUNT]] : f32
// CHECK: %[[FACTOR:.*]] = arith.select %[[EMPTY]], %[[ZERO]], %[[INVERSE]]
// CHECK-NOT: arith.divf
// CHECK: vector.broadcast %[[FACTOR]] : f32 to vector<8xf32>
// CHECK: arith.mulf %[[POOLED]]#0,
// CHECK: vector.broadcast %[[FACTOR]] : f32 to vector<8xf32>
// CHECK: arith.mulf %[[POOLED]]#1,
