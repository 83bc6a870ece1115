// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Weights by position: the parameter is read at the position within the bag.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
trec.parameter @p : tensor<20xf32>
func.func @position_weights(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, weights = @p>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK: trec.dispatch @bag_position_weighted_sum_int8x8_align1_f32_i32, @bag_position_weighted_sum_int8x8_align1_f32_i64(
// CHECK-SAME: [#trec.bag<@t, "f", 0, weights = @p>]
// CHECK-LABEL: func.func private @bag_position_weighted_sum_int8x8_align1_f32_i32(
// CHECK-SAME: %[[WEIGHTS:[^:]*]]: memref<?xf32>
// CHECK: scf.for %[[POSITION:[^ ]*]] = %[[BEGIN:[^ ]*]] to %{{.*}} iter_args(
// CHECK: %[[INDEX:.*]] = arith.subi %[[POSITION]], %[[BEGIN]] : index
// CHECK: %[[WEIGHT:.*]] = memref.load %[[WEIGHTS]][%[[INDEX]]] : memref<?xf32>
// Both factors of a row are multiplied once, as with sample weights.
// CHECK: %[[BOTH:.*]] = vector.broadcast %[[WEIGHT]] : f32 to vector<4xf32>
// CHECK: arith.mulf %{{.*}}, %[[BOTH]] : vector<4xf32>
// CHECK: math.fma

// -----

// The weighted product is not exact without FMA hardware either.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [4], f32>
trec.table @t : !trec.table<1000x4, int8, #layout>
trec.parameter @p : tensor<20xf32>
func.func @library_fma(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, weights = @p>]
    rows !trec.row<4, int8, #layout> bounds warning
    lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0, fma = library> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_position_weighted_sum_int8x4_align1_f32_i32(
// CHECK: arith.mulf {{.*}} : vector<4xf32>
// CHECK-NOT: arith.mulf
// CHECK: math.fma

// -----

// An array: ids are checked against its entries, and an entry that is no row of the
// table gives none. A fetch goes through the map too.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, fp32, #layout>
trec.parameter @m maps <array> : tensor<5000xi32>
func.func @map(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group mean %kjt into %dest [#trec.bag<@t, "f", 0, remap = @m>]
    rows !trec.row<8, fp32, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK: trec.dispatch @bag_remapped_by_array_mean_fp32x8_align1_f32_i32, @bag_remapped_by_array_mean_fp32x8_align1_f32_i64(
// CHECK-LABEL: func.func private @bag_remapped_by_array_mean_fp32x8_align1_f32_i32(
// CHECK-SAME: %[[ROWS:[^:]*]]: memref<?x32xi8>, %[[IDS:[^:]*]]: memref<?xi32>
// CHECK-SAME: memref<2xi64>, %[[MAP:[^:]*]]: memref<?xi32>, %[[NUM_IDS:[^:]*]]: index
// CHECK: %[[NUM_ROWS:.*]] = memref.dim %[[ROWS]]
// CHECK: scf.for %[[POSITION:[^ ]*]] = {{.*}} iter_args(
// CHECK: memref.load %[[IDS]]
// CHECK: arith.cmpi ult, %{{.*}}, %[[NUM_IDS]]
// CHECK: %[[SAFE_ID:.*]] = arith.select
// CHECK: memref.load %[[MAP]][%[[SAFE_ID]]]
// CHECK: arith.cmpi ult, %{{.*}}, %[[NUM_ROWS]]
// CHECK: %[[SAFE_ROW:.*]] = arith.select
// CHECK: memref.prefetch %[[ROWS]][%[[SAFE_ROW]],
// CHECK: memref.load %[[IDS]][%[[POSITION]]]
// CHECK: %[[GOOD:.*]] = arith.cmpi ult, %{{.*}}, %[[NUM_IDS]]
// CHECK: %[[ID:.*]]:2 = scf.if %[[GOOD]] -> (index, i1)
// CHECK: %[[ROW:.*]]:2 = scf.if %[[ID]]#1 -> (index, i1) {
// CHECK:   %[[ENTRY:.*]] = memref.load %[[MAP]][%[[ID]]#0] : memref<?xi32>
// CHECK:   %[[STORED:.*]] = arith.index_cast %[[ENTRY]]
// CHECK:   %[[IS_ROW:.*]] = arith.cmpi ult, %[[STORED]], %[[NUM_ROWS]]
// CHECK:   scf.yield %[[STORED]], %[[IS_ROW]]
// CHECK: %[[LIKELY:.*]] = llvm.intr.expect %[[ROW]]#1, %{{.*}} : i1
// CHECK: scf.if %[[LIKELY]] -> (vector<8xf32>)
// CHECK: vector.load %[[ROWS]][%[[ROW]]#0,

// -----

// A hash table: the probe starts at the hash of the id, goes round the slots, and
// ends at the id, at an empty slot, or when all have been seen.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, fp32, #layout>
trec.parameter @m maps <hash_table, ids = 5000> : tensor<64x2xi32>
func.func @hash_table(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, remap = @m>]
    rows !trec.row<8, fp32, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_remapped_by_hash_table_sum_fp32x8_align1_f32_i64(
// CHECK-SAME: memref<2xi64>, %[[MAP:[^:]*]]: memref<?xi32>, %[[NUM_IDS:[^:]*]]: index
// CHECK: %[[NUM_ROWS:.*]] = memref.dim
// CHECK: %[[ELEMENTS:.*]] = memref.dim %[[MAP]]
// CHECK: %[[SLOTS:.*]] = arith.shrui %[[ELEMENTS]], %{{.*}} : index
// CHECK: arith.cmpi ult, %{{.*}}, %[[NUM_IDS]]
// CHECK: %[[ID:.*]]:2 = scf.if
// CHECK: %{{.*}}:2 = scf.if %[[ID]]#1 -> (index, i1) {
// CHECK: arith.index_cast %[[ID]]#0 : index to i32
// CHECK: arith.constant -2048144789 : i32
// CHECK: arith.constant -1028477387 : i32
// CHECK: %[[HASH:.*]] = arith.index_castui %{{.*}} : i32 to index
// CHECK: %[[FIRST:.*]] = arith.remui %[[HASH]], %[[SLOTS]] : index
// CHECK: %[[SLOT:.*]]:2 = scf.while (%[[AT:.*]] = %[[FIRST]], %[[LEFT:.*]] = %[[SLOTS]])
// CHECK: %[[STORED:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK: %[[OTHER:.*]] = arith.cmpi ne, %[[STORED]], %[[ID]]#0
// CHECK: %[[FULL:.*]] = arith.cmpi ne, %[[STORED]], %{{.*}}
// CHECK: %[[MORE:.*]] = arith.andi %[[OTHER]], %[[FULL]]
// CHECK: %[[MANY:.*]] = arith.cmpi ne, %[[LEFT]], %{{.*}}
// CHECK: %[[GO:.*]] = arith.andi %[[MORE]], %[[MANY]]
// CHECK: scf.condition(%[[GO]]) %[[AT]], %[[LEFT]]
// CHECK: arith.cmpi ult, %{{.*}}, %[[SLOTS]]
// CHECK: %[[FOUND:.*]] = arith.cmpi eq, %{{.*}}, %[[ID]]#0
// CHECK: %[[ROW:.*]] = arith.select %[[FOUND]],
// CHECK: %[[IS_ROW:.*]] = arith.cmpi ult, %[[ROW]], %[[NUM_ROWS]]
// CHECK: scf.yield %[[ROW]], %[[IS_ROW]]

// -----

// A sorted map: no id is bad, none is skipped, and one that is not there goes to
// the last row. The map is of i64, whatever the ids are. Eight ids are searched
// for together, ahead of the place where their rows are read.
#layout = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, fp32, #layout>
trec.parameter @m maps <sorted> : tensor<1000x2xi64>
func.func @sorted(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, remap = @m>]
    rows !trec.row<8, fp32, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 16> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_remapped_by_sorted_sum_fp32x8_align1_f32_i32(
// CHECK-SAME: %[[IDS:[^:]*]]: memref<?xi32>
// CHECK-SAME: %[[REPORT:[^:]*]]: memref<2xi64>, %[[MAP:[^:]*]]: memref<?xi64>
// CHECK-NOT: memref.store %{{.*}}, %[[REPORT]]
// CHECK: %[[FOUND:.*]] = memref.alloca() : memref<16xi64>
// CHECK: %[[PAIRS:.*]] = arith.shrui %{{.*}} : i64
// CHECK: %[[READABLE:.*]] = arith.maxui %[[PAIRS]], %{{.*}} : i64
// CHECK: scf.for %[[POSITION:[^ ]*]] = {{.*}} iter_args(
// CHECK: scf.for %[[CHUNK:[^ ]*]] = %{{.*}} to %{{.*}} step %{{.*}} {
// CHECK: vector.gather %[[IDS]]
// CHECK: %[[WANTED:.*]] = arith.extsi %{{.*}} : vector<8xi32> to vector<8xi64>
// CHECK: %[[COUNTS:.*]] = scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}) -> (vector<8xi64>) {
// CHECK: %[[STORED:.*]] = vector.gather %[[MAP]]
// CHECK: %[[BELOW:.*]] = arith.cmpi slt, %[[STORED]], %[[WANTED]] : vector<8xi64>
// CHECK: arith.select %[[BELOW]],
// CHECK: arith.minui %[[COUNTS]], %{{.*}} : vector<8xi64>
// CHECK: vector.gather %[[MAP]]
// CHECK: %[[THERE:.*]] = arith.cmpi eq, %{{.*}}, %[[WANTED]] : vector<8xi64>
// CHECK: vector.gather %[[MAP]]
// CHECK: %[[LAST:.*]] = arith.subi %[[PAIRS]], %{{.*}} : i64
// CHECK: %[[ELSE:.*]] = vector.broadcast %[[LAST]]
// CHECK: %[[ROWS:.*]] = arith.select %[[THERE]], %{{.*}}, %[[ELSE]]
// CHECK: vector.store %[[ROWS]], %[[FOUND]]
// Rows are known eight positions ahead, so that nothing is fetched from farther.
// CHECK: %[[DISTANCE:.*]] = arith.constant 8 : index
// CHECK: arith.addi %[[POSITION]], %[[DISTANCE]]
// CHECK: memref.prefetch
// CHECK: memref.load %[[FOUND]]
// CHECK: %[[IS_ROW:.*]] = arith.cmpi ult, %{{.*}}, %{{.*}} : index
// CHECK: %[[LIKELY:.*]] = llvm.intr.expect %[[IS_ROW]], %{{.*}} : i1
// CHECK: scf.if %[[LIKELY]]
