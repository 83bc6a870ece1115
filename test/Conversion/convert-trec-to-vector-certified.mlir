// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Bags up to the certified length are added without biases, which are summed with the headers and added at the end.
// Longer ones are added in order.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @bias_once(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, certified = bias_once> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK: trec.dispatch {{.*}} bounds warning certified :
// CHECK-LABEL: func.func private @bag_sum_int8x8_align1_f32_i32(
// CHECK-SAME: index, %[[CERTIFIED:[^:]*]]: index, %[[OFFSET:[^:]*]]: f32, %{{[^:]*}}: index, %{{[^:]*}}: index, %{{[^:]*}}: index, %[[BEGIN:[^:]*]]: index, %{{[^:]*}}: index)
// CHECK: scf.for %{{.*}} = %[[BEGIN]] to
// CHECK: %[[LENGTH:.*]] = arith.subi %[[END:.*]], %[[FIRST:.*]] : index
// CHECK: %[[IS:.*]] = arith.cmpi sle, %[[LENGTH]], %[[CERTIFIED]] : index
// CHECK: scf.if %[[IS]] {
// CHECK: %[[COUNT:.*]] = arith.sitofp %{{.*}} : i64 to f32
// CHECK: %[[START:.*]] = arith.mulf %[[COUNT]], %[[OFFSET]] : f32
// CHECK: %[[STARTS:.*]] = vector.broadcast %[[START]] : f32 to vector<8xf32>
// CHECK: %[[BELOW:.*]] = arith.subf %{{.*}}, %[[STARTS]] : vector<8xf32>
// CHECK: %[[ABOVE:.*]] = vector.broadcast %[[START]] : f32 to vector<4xf32>
// CHECK: %[[SUMS:.*]]:2 = scf.for {{.*}} = %[[FIRST]] to %[[END]] {{.*}} iter_args(%[[ACC:.*]] = %[[BELOW]], %[[HEADERS:.*]] = %[[ABOVE]]) -> (vector<8xf32>, vector<4xf32>)
// CHECK: %[[HEADER:.*]] = arith.extf
// CHECK-NEXT: %[[SCALE:.*]] = vector.extract %[[HEADER]][0]
// CHECK-NEXT: %[[SCALES:.*]] = vector.broadcast %[[SCALE]]
// CHECK: %[[CODES:.*]] = arith.sitofp
// CHECK-NEXT: math.fma %[[CODES]], %[[SCALES]], %[[ACC]]
// CHECK: arith.addf %[[HEADERS]], %[[HEADER]] : vector<4xf32>
// CHECK: %[[BIAS:.*]] = vector.extract %[[SUMS]]#1[1]
// CHECK: %[[BIASES:.*]] = vector.broadcast %[[BIAS]]
// CHECK: %[[OUT:.*]] = arith.addf %[[SUMS]]#0, %[[BIASES]]
// CHECK: vector.store %[[OUT]]
// CHECK: } else {
// CHECK: %[[SUM:.*]] = scf.for {{.*}} = %[[FIRST]] to %[[END]] {{.*}} -> (vector<8xf32>)
// CHECK: arith.addf
// CHECK: math.fma
// CHECK: vector.store %[[SUM]]

// -----

// INT2: rows by two, with a vector of the 16 sums of a code of each; the last one of an odd bag alone.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
trec.table @t : !trec.table<1000x64, int2, #layout>
func.func @row_pairs(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, certified = row_pairs> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x64_align1_f32_i32(
// CHECK: %[[ODD:.*]] = arith.andi %{{.*}}, %{{.*}} : index
// CHECK: %[[LAST:.*]] = arith.subi %[[END:.*]], %[[ODD]] : index
// CHECK: %[[PAIRS:.*]]:5 = scf.for %[[POSITION:.*]] = %[[FIRST:.*]] to %[[LAST]] step
// CHECK: memref.load %{{.*}}[%[[POSITION]]] : memref<?xi32>
// CHECK: %[[NEXT:.*]] = arith.addi %[[POSITION]]
// CHECK: memref.load %{{.*}}[%[[NEXT]]] : memref<?xi32>
// CHECK: %[[BOTH:.*]] = arith.andi %{{.*}}, %{{.*}} : i1
// CHECK: %[[LIKELY:.*]] = llvm.intr.expect %[[BOTH]], %{{.*}} : i1
// CHECK: scf.if %[[LIKELY]]
// CHECK: %[[FIRST_ROW:.*]] = arith.mulf %{{.*}} : vector<16xf32>
// CHECK: %[[TABLE:.*]] = math.fma %{{.*}}, %{{.*}}, %[[FIRST_ROW]]
// CHECK: arith.constant dense<858993459> : vector<4xi32>
// CHECK: arith.constant dense<-858993460> : vector<4xi32>
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%[[TABLE]]
// CHECK-NOT: math.fma
// CHECK: } else {
// CHECK: scf.for {{.*}} = %[[LAST]] to %[[END]] step {{.*}} iter_args(%{{.*}} = %[[PAIRS]]#0

// -----

// Where a row has too few bytes for a permutation, biases are added once.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int2, #layout>
func.func @narrow(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, certified = row_pairs> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x16_align1_f32_i32(
// CHECK: scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// CHECK-NOT: call_intrinsic

// -----

// Relaxed numerics: every bag, and weights too.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @relaxed(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, certified = bias_once, numerics = relaxed> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK: trec.dispatch {{.*}} bounds warning :
// CHECK-LABEL: func.func private @bag_weighted_sum_int8x8_align1_f32_i32(
// CHECK: %[[IS_FETCHED:.*]] = arith.cmpi sle
// CHECK-NEXT: scf.if %[[IS_FETCHED]] {
// CHECK-NOT: arith.cmpi sle
// CHECK: scf.for {{.*}} -> (vector<8xf32>, vector<4xf32>)
// CHECK: arith.mulf %{{.*}} : vector<4xf32>
// CHECK-COUNT-2: math.fma
// CHECK-NOT: math.fma
// CHECK-LABEL: func.func private @bag_weighted_sum_int8x8_align1_f32_i64(
