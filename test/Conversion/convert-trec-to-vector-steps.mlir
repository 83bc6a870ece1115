// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Four ids are compared in one step, which fetches four rows. Those of a bag that are left over go one by one, and so
// do the rows of a step with an id that is bad or -1. Bags of fewer than four ids, on the average, have a loop without steps.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @steps(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 5, rows_at_once = 4> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x8_align16_f32_i32(
// CHECK-SAME: %[[FROM:[^ ]*]]: index, %[[TO:[^ ]*]]: index)
// CHECK: memref.load %{{.*}}[%[[FROM]]]
// CHECK: %[[IDS:.*]] = arith.subi
// CHECK: %[[BAGS:.*]] = arith.subi %[[TO]], %[[FROM]] : index
// CHECK: %[[STEPS:.*]] = arith.muli %[[BAGS]], %{{.*}} : index
// CHECK: %[[LONG:.*]] = arith.cmpi sge, %[[IDS]], %[[STEPS]] : index
// CHECK: scf.if %[[LONG]]
// CHECK: scf.for
// CHECK: %[[LENGTH:.*]] = arith.subi %[[END:.*]], %[[BEGIN:.*]] : index
// CHECK: %[[THREE:.*]] = arith.constant 3 : index
// CHECK: %[[REST:.*]] = arith.andi %[[LENGTH]], %[[THREE]] : index
// CHECK: %[[LAST:.*]] = arith.subi %[[END]], %[[REST]] : index
// CHECK: %[[FOUR:.*]] = arith.constant 4 : index
// CHECK: %[[SUM:.*]] = scf.for %[[POSITION:.*]] = %[[BEGIN]] to %[[LAST]] step %[[FOUR]] {{.*}} -> (vector<8xf32>) {
// CHECK: scf.if
// CHECK-COUNT-4: memref.prefetch {{.*}} read, locality<3>, data
// CHECK-NOT: memref.prefetch
// CHECK: }
// CHECK-COUNT-4: arith.cmpi ult
// CHECK: %[[ALL:.*]] = arith.andi {{.*}} : i1
// CHECK: %[[LIKELY:.*]] = llvm.intr.expect %[[ALL]], %{{.*}} : i1
// CHECK-NEXT: scf.if %[[LIKELY]] -> (vector<8xf32>) {
// CHECK-COUNT-4: math.fma
// CHECK-NEXT: scf.yield
// CHECK: } else {
// CHECK: scf.for {{.*}} = %[[POSITION]] to
// CHECK-NOT: memref.prefetch
// CHECK: memref.store {{.*}} : memref<2xi64>
// CHECK: math.fma
// CHECK: scf.for {{.*}} = %[[LAST]] to %[[END]] {{.*}} iter_args(%{{.*}} = %[[SUM]])
// CHECK: memref.prefetch
// CHECK-NOT: memref.prefetch
// CHECK: math.fma
// CHECK: vector.store
// CHECK: } else {
// CHECK: scf.for %{{.*}} = %[[FROM]] to %[[TO]]
// CHECK-COUNT-1: scf.for
// CHECK-NOT: scf.for
// CHECK-COUNT-1: memref.prefetch
// CHECK-COUNT-1: math.fma
// CHECK: vector.store
// CHECK-COUNT-1: scf.for
// CHECK-NOT: scf.for
// CHECK-LABEL: func.func private @bag_sum_int8x8_align16_f32_i64(

// -----

// Into the second level of the cache they are fetched by fours too.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @far(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, far_distance = 64, rows_at_once = 4> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x8_align16_f32_i32(
// CHECK: scf.for
// CHECK: scf.for
// CHECK-NOT: arith.remui
// CHECK-COUNT-4: memref.prefetch {{.*}} read, locality<2>, data
// CHECK-NOT: memref.prefetch
// CHECK: scf.if

// -----

// A certified step of two pairs; in order they are four rows.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
trec.table @t : !trec.table<1000x64, int2, #layout>
func.func @pairs(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, rows_at_once = 4, unpack = lookup,
              certified = row_pairs> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x64_align16_f32_i32(
// CHECK: arith.constant 4 : index
// CHECK: scf.for
// CHECK-COUNT-8: permvar.sf.512
// CHECK-NOT: permvar.sf.512
// CHECK: } else {

// -----

// Ids that are mapped go one by one: some of them may have no row.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
trec.parameter @m maps <array> : tensor<?xi32>
func.func @mapped(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, remap = @m>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, rows_at_once = 4> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @{{.*}}_i32(
// CHECK-NOT: arith.constant 4 : index
// CHECK-COUNT-3: scf.for
// CHECK-NOT: scf.for
// CHECK-LABEL: func.func private @{{.*}}_i64(
