// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Where the runtime says that outputs are many, they are stored around the cache, with the alignment that it vouches
// for; else as ever.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int8, #layout>
func.func @streaming(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, stores = streaming> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x32_align1_f32_i32(
// CHECK-SAME: index, %[[STORES:[^:]*]]: index, %{{[^:]*}}: index, %{{[^:]*}}: index, %{{[^:]*}}: index)
// CHECK: %[[TWO:.*]] = arith.constant 2 : index
// CHECK: %[[IS:.*]] = arith.cmpi eq, %[[STORES]], %[[TWO]] : index
// CHECK: scf.if %[[IS]] {
// CHECK: vector.store %[[FIRST:.*]], %[[OUT:.*]][%{{.*}}] {alignment = 64 : i64, nontemporal = true}
// CHECK: vector.store %[[SECOND:.*]], %[[OUT]][%{{.*}}] {alignment = 64 : i64, nontemporal = true}
// CHECK: } else {
// CHECK: vector.store %[[FIRST]], %[[OUT]][%{{.*}}] :
// CHECK: vector.store %[[SECOND]], %[[OUT]][%{{.*}}] :

// -----

// A column that no vector is aligned at goes through the cache: of 24 columns the second 16 begin at the eighth.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [24], f32>
trec.table @t : !trec.table<1000x24, int8, #layout>
func.func @overlapping(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<24, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, stores = streaming> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x24_align1_f32_i32(
// CHECK: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true}
// CHECK-NEXT: arith.constant 8 : index
// CHECK-NEXT: vector.store {{.*}}] :
// CHECK: } else {

// -----

// Nothing is asked where all outputs are left to the cache.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int8, #layout>
func.func @cached(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x32_align1_f32_i32(
// CHECK-NOT: nontemporal
