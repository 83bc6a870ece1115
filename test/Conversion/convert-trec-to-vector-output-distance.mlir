// RUN: trec-opt %s --convert-trec-to-vector | FileCheck %s

// The lines of the output's row two bags ahead, where the call has outputs fetched: 40 floats are three lines.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [40], f32>
trec.table @t : !trec.table<1000x40, int8, #layout>
func.func @fetched(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<40, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, output_distance = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x40_align1_f32_i32(
// CHECK-SAME: index, %[[STORES:[^:]*]]: index, %{{[^:]*}}: index, %{{[^:]*}}: index, %[[END:[^:]*]]: index)
// CHECK: %[[LAST:.*]] = arith.subi %[[END]], %{{.*}} : index
// CHECK: %[[NONE:.*]] = arith.constant -1 : index
// CHECK: %[[FETCHED:.*]] = arith.constant 1 : index
// CHECK: %[[ARE:.*]] = arith.cmpi eq, %[[STORES]], %[[FETCHED]] : index
// CHECK: %[[UP_TO:.*]] = arith.select %[[ARE]], %[[LAST]], %[[NONE]] : index
// CHECK: scf.for %[[BAG:.*]] =
// CHECK: %[[TWO:.*]] = arith.constant 2 : index
// CHECK: %[[AHEAD:.*]] = arith.addi %[[BAG]], %[[TWO]] : index
// CHECK: %[[EXISTS:.*]] = arith.cmpi sle, %[[AHEAD]], %[[UP_TO]] : index
// CHECK: scf.if %[[EXISTS]] {
// CHECK-COUNT-3: memref.prefetch %{{.*}}[%[[AHEAD]], %{{.*}}], read, locality<3>, data
// CHECK-NOT: memref.prefetch
// CHECK: scf.for

// Without a distance a bag's own row, to write it: 20 floats are two lines.
!narrow = !trec.keyed_tensor<["f"], [20], f32>
trec.table @narrow : !trec.table<1000x20, int8, #layout>
func.func @own(%kjt: !kjt, %dest: !narrow) -> !narrow {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@narrow, "f", 0>]
    rows !trec.row<20, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !narrow
  return %0 : !narrow
}
// CHECK-LABEL: func.func private @bag_sum_int8x20_align1_f32_i32(
// CHECK: %[[UP_TO:.*]] = arith.select %{{.*}}, %{{.*}}, %{{.*}} : index
// CHECK: scf.for %[[BAG:.*]] =
// CHECK: %[[EXISTS:.*]] = arith.cmpi sle, %[[BAG]], %[[UP_TO]] : index
// CHECK: scf.if %[[EXISTS]] {
// CHECK-COUNT-2: memref.prefetch %{{.*}}[%[[BAG]], %{{.*}}], write, locality<3>, data
// CHECK-NOT: memref.prefetch
// CHECK: scf.for
