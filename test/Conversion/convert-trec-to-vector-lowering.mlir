// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// What each parameter of a lowering does.

#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [124], f32>
trec.table @t : !trec.table<1000x124, int8, #layout>
func.func @prefetch(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<124, int8, #layout> bounds warning
    lowering <vector_width = 64, accumulators = 8, prefetch_distance = 5> : !kjt, !keyed
  return %0 : !keyed
}
// The id some rows ahead, if the call has it, good or bad: to fetch from any address is harmless.
// Two lines for 128 bytes: rows keep to cache lines.
// CHECK-LABEL: func.func private @bag_sum_int8x124_align1_f32_i32(
// CHECK: %[[LAST:.*]] = arith.subi
// CHECK: scf.for %[[POSITION:.*]] = {{.*}} iter_args(
// CHECK: %[[DISTANCE:.*]] = arith.constant 5 : index
// CHECK: %[[AHEAD:.*]] = arith.addi %[[POSITION]], %[[DISTANCE]]
// CHECK: %[[EXISTS:.*]] = arith.cmpi sle, %[[AHEAD]], %[[LAST]]
// CHECK: %[[LIKELY:.*]] = llvm.intr.expect %[[EXISTS]], %{{.*}} : i1
// CHECK: scf.if %[[LIKELY]] {
// CHECK: memref.load %{{.*}}[%[[AHEAD]]] : memref<?xi32>
// CHECK: %[[ID:.*]] = arith.index_cast
// CHECK-NEXT: arith.constant 0 : index
// CHECK-NEXT: memref.prefetch %{{.*}}[%[[ID]], %{{.*}}], read, locality<3>, data
// CHECK: arith.constant 64 : index
// CHECK: memref.prefetch
// CHECK-NOT: memref.prefetch
// CHECK: vector.load

// -----

// Three lines may be touched by 104 bytes that start anywhere; the last byte says so.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [100], f32>
trec.table @t : !trec.table<1000x100, int8, #layout>
func.func @prefetch_straddling(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<100, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 2, prefetch_distance = 1> : !kjt, !keyed
  return %0 : !keyed
}
// Four passes for seven pieces, two at a time; only the first fetches and reports.
// CHECK-LABEL: func.func private @bag_sum_int8x100_align1_f32_i32(
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK: arith.constant 0 : index
// CHECK: memref.prefetch
// CHECK: arith.constant 64 : index
// CHECK: memref.prefetch
// CHECK: arith.constant 103 : index
// CHECK: memref.prefetch
// CHECK: memref.store %{{.*}} : memref<2xi64>
// CHECK: memref.store %{{.*}} : memref<2xi64>
// CHECK-COUNT-2: vector.store
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK-NOT: memref.prefetch
// CHECK-NOT: memref.store
// CHECK-COUNT-2: vector.store
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-2: vector.store
// CHECK: scf.for {{.*}} -> (vector<16xf32>)
// CHECK: vector.store
// CHECK: } else {
// CHECK-COUNT-7: vector.store
// CHECK-NOT: vector.store
// CHECK: return

// -----

// Rows far ahead go to the second level, in groups of two, at every position that
// is a multiple of so many.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [60], f32>
trec.table @t : !trec.table<1000x60, int8, #layout>
func.func @prefetch_far(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<60, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 5, far_distance = 40, far_group = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x60_align1_f32_i32(
// CHECK: %[[LAST:.*]] = arith.subi
// CHECK: %[[FETCHES:.*]] = arith.cmpi ne, %arg10,
// CHECK: %[[LAST_FAR:.*]] = arith.select %[[FETCHES]], %[[LAST]], %{{.*}} : index
// CHECK: scf.for %[[POSITION:.*]] = {{.*}} iter_args(
// CHECK: %[[REST:.*]] = arith.andi %[[POSITION]], %c1{{(_.*)?}} : index
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[REST]],
// CHECK: %[[RARELY:.*]] = llvm.intr.expect %[[FIRST]], %false{{.*}} : i1
// CHECK: scf.if %[[RARELY]] {
// CHECK: %[[FROM:.*]] = arith.addi %[[POSITION]], %{{.*}}
// CHECK: %[[GROUP_END:.*]] = arith.addi %[[FROM]], %c2{{(_.*)?}} : index
// CHECK: %[[END:.*]] = arith.addi %[[LAST_FAR]], %{{.*}}
// CHECK: %[[TO:.*]] = arith.minsi %[[GROUP_END]], %[[END]]
// CHECK: scf.for %[[FAR:.*]] = %[[FROM]] to %[[TO]]
// CHECK: memref.load %{{.*}}[%[[FAR]]] : memref<?xi32>
// CHECK: memref.prefetch %{{.*}}, read, locality<2>, data
// CHECK: %[[NEAR:.*]] = arith.addi %[[POSITION]], %{{.*}}
// CHECK: arith.cmpi sle, %[[NEAR]], %[[LAST]]
// CHECK: memref.prefetch %{{.*}}, read, locality<3>, data
// CHECK-NOT: memref.prefetch
// CHECK: vector.load

// -----

// How many together the runtime says: there is code for rows one by one, and for
// groups in front of positions that have no bit of a mask. Where there are none
// the mask has all bits.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [60], f32>
trec.table @t : !trec.table<1000x60, int8, #layout>
func.func @prefetch_far_as_told(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<60, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, far_distance = 40, far_group = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x60_align1_f32_i32(
// CHECK: %[[LAST:.*]] = arith.subi
// CHECK: %[[NONE:.*]] = arith.constant -1 : index
// CHECK-DAG: %[[ARE_GROUPS:.*]] = arith.cmpi sgt, %arg10, %c1{{(_.*)?}} : index
// CHECK-DAG: %[[ARE_ALONE:.*]] = arith.cmpi eq, %arg10, %c1{{(_.*)?}} : index
// CHECK-DAG: %[[LAST_ALONE:.*]] = arith.select %[[ARE_ALONE]], %[[LAST]], %[[NONE]]
// CHECK-DAG: %[[LAST_IN_GROUPS:.*]] = arith.select %[[ARE_GROUPS]], %[[LAST]], %[[NONE]]
// CHECK: %[[BITS:.*]] = arith.subi %arg10, %c1{{(_.*)?}} : index
// CHECK: %[[MASK:.*]] = arith.select %[[ARE_GROUPS]], %[[BITS]], %[[NONE]]
// CHECK: scf.for %[[POSITION:.*]] = {{.*}} iter_args(
// CHECK: %[[FAR:.*]] = arith.addi %[[POSITION]],
// CHECK: arith.cmpi sle, %[[FAR]], %[[LAST_ALONE]]
// CHECK: memref.prefetch %{{.*}}, read, locality<2>, data
// CHECK: arith.andi %[[POSITION]], %[[MASK]]
// CHECK: arith.addi %{{.*}}, %arg10
// CHECK: arith.addi %[[LAST_IN_GROUPS]],
// CHECK: scf.for
// CHECK: memref.prefetch %{{.*}}, read, locality<2>, data
// CHECK-NOT: memref.prefetch
// CHECK: vector.load

// -----

// A piece of INT2 needs four accumulators, whatever the number that is allowed.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int2, #layout>
func.func @few_accumulators(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int2, #layout> bounds warning
    lowering <vector_width = 4, accumulators = 1, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x32_align1_f32_i32(
// CHECK: scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// CHECK: vector.store
// CHECK: scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// CHECK: vector.store

// -----

// Without FMA an exact product is multiplied and added.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [4], f32>
trec.table @t : !trec.table<1000x4, int8, #layout>
func.func @library_fma(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<4, int8, #layout> bounds warning
    lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0, fma = library> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x4_align1_f32_i32(
// CHECK: %[[BIASED:.*]] = arith.addf
// CHECK: %[[PRODUCT:.*]] = arith.mulf %{{.*}} : vector<4xf32>
// CHECK: arith.addf %[[PRODUCT]], %[[BIASED]]
// CHECK-NOT: math.fma
// CHECK: return

// -----

// A weighted product is not exact: it takes a fused multiply-add all the same.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [4], f32>
trec.table @t : !trec.table<1000x4, int8, #layout>
func.func @library_fma_weighted(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<4, int8, #layout> bounds warning
    lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0, fma = library> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_weighted_sum_int8x4_align1_f32_i32(
// CHECK: math.fma
