// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Where each bag has one id there is one loop, over the ids: no offset but the first is read, and a mean is the row.
// Headers are not stored there, between outputs.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @mean(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group mean %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 5, header = memory, certified = bias_once> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_mean_int8x8_align16_f32_i32(
// CHECK-SAME: %[[OFFSETS:[^:]*]]: memref<?xi64>, %{{[^:]*}}: memref<?xf32>, %[[OUT:[^:]*]]: memref<?x8xf32,
// CHECK-SAME: %[[ONE_ID:[^:]*]]: index, %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index)
// CHECK: %[[OTHERS:.*]] = arith.cmpi eq, %[[ONE_ID]], %{{.*}} : index
// CHECK: scf.if %[[OTHERS]] {
// CHECK: arith.divf
// CHECK: llvm.store
// CHECK: vector.store
// CHECK: llvm.store
// CHECK: vector.store
// CHECK: } else {
// CHECK-NOT: llvm.store
// CHECK: %[[STORED:.*]] = memref.load %[[OFFSETS]][%[[BEGIN]]]
// CHECK-NEXT: %[[FIRST:.*]] = arith.index_cast %[[STORED]]
// CHECK-NEXT: %[[SHIFT:.*]] = arith.subi %[[BEGIN]], %[[FIRST]] : index
// CHECK-NEXT: %[[LAST:.*]] = arith.subi %[[END]], %[[SHIFT]] : index
// CHECK: scf.for %[[POSITION:.*]] = %[[FIRST]] to %[[LAST]] step
// CHECK-NEXT: %[[BAG:.*]] = arith.addi %[[POSITION]], %[[SHIFT]] : index
// CHECK-NOT: memref.load %[[OFFSETS]]
// CHECK-NOT: scf.for
// CHECK-NOT: arith.divf
// CHECK-NOT: llvm.store
// CHECK: %[[ROW:.*]] = scf.if %{{.*}} -> (vector<8xf32>) {
// CHECK-NOT: llvm.store
// CHECK: arith.addf
// CHECK-NEXT: math.fma
// CHECK: vector.store %[[ROW]], %[[OUT]][%[[BAG]],
// CHECK-NOT: vector.store
// CHECK: return

// -----

// Relaxed sums have one arithmetic, however many ids the other bags of a call have.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
trec.table @t : !trec.table<1000x64, int2, #layout>
func.func @relaxed(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, rows_at_once = 4, unpack = lookup,
              certified = row_pairs, numerics = relaxed> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x64_align16_f32_i32(
// CHECK-NOT: arith.cmpi sge
// CHECK: arith.cmpi eq, %{{.*}}, %c0{{.*}} : index
// CHECK-NOT: arith.cmpi sge
// CHECK: } else {
// CHECK: scf.for
// CHECK: -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<4xf32>)
// CHECK-LABEL: func.func private @bag_sum_int2x64_align16_f32_i64(
