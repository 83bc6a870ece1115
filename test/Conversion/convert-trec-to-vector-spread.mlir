// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Two bytes with the eight codes of a vector, in each lane, which shifts its own down.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int2, #layout>
func.func @int2(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = spread> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x8_align1_f32_i32(
// CHECK: scf.for {{.*}} -> (vector<8xf32>)
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x6xi8>, vector<2xi8>
// CHECK: %[[ONE:.*]] = vector.bitcast %[[BYTES]] : vector<2xi8> to vector<1xi16>
// CHECK: %[[NUMBER:.*]] = vector.extract %[[ONE]][0] : i16
// CHECK: %[[COPIES:.*]] = vector.broadcast %[[NUMBER]] : i16 to vector<16xi16>
// CHECK: %[[LANES:.*]] = vector.bitcast %[[COPIES]] : vector<16xi16> to vector<8xi32>
// CHECK: %[[SHIFTS:.*]] = arith.constant dense<[0, 2, 4, 6, 8, 10, 12, 14]> : vector<8xi32>
// CHECK: %[[SHIFTED:.*]] = arith.shrui %[[LANES]], %[[SHIFTS]]
// CHECK: %[[MASK:.*]] = arith.constant dense<3> : vector<8xi32>
// CHECK: %[[CODES:.*]] = arith.andi %[[SHIFTED]], %[[MASK]]
// CHECK: arith.sitofp %[[CODES]]
// CHECK-NOT: vector.interleave
// CHECK-NOT: vector.shuffle
// CHECK: vector.store

// -----

// 16 codes of INT4 are 64 bits: even lanes have the first eight, which are put in order once a bag.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int4, #layout>
func.func @int4(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int4, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = spread> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x16_align1_f32_i32(
// CHECK: %[[SUM:.*]] = scf.for {{.*}} -> (vector<16xf32>)
// CHECK: vector.broadcast %{{.*}} : i64 to vector<8xi64>
// CHECK: vector.bitcast %{{.*}} : vector<8xi64> to vector<16xi32>
// CHECK: arith.constant dense<[0, 0, 4, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28, 28]> : vector<16xi32>
// CHECK: arith.constant dense<15> : vector<16xi32>
// CHECK: %[[OUT:.*]] = vector.shuffle %[[SUM]], %[[SUM]] [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]
// CHECK: vector.store %[[OUT]]

// -----

// 12 codes: eight, and eight that begin at the fourth.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [12], f32>
trec.table @t : !trec.table<1000x12, int2, #layout>
func.func @overlap(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<12, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = spread> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x12_align1_f32_i32(
// CHECK: scf.for {{.*}} -> (vector<8xf32>, vector<8xf32>)
// CHECK: %[[FIRST:.*]] = arith.constant 4 : index
// CHECK: vector.load %{{.*}}[%{{.*}}, %[[FIRST]]] : memref<?x7xi8>, vector<2xi8>
// CHECK: %[[SECOND:.*]] = arith.constant 5 : index
// CHECK: vector.load %{{.*}}[%{{.*}}, %[[SECOND]]] : memref<?x7xi8>, vector<2xi8>
// CHECK: %[[COLUMN:.*]] = arith.constant 4 : index
// CHECK: vector.store %{{.*}}[%{{.*}}, %[[COLUMN]]]

// -----

// No more than 64 bits are spread at once: 16 codes of INT4 in vectors of 16 of the 64 lanes.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
trec.table @t : !trec.table<1000x64, int4, #layout>
func.func @wide(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int4, #layout> bounds warning
    lowering <vector_width = 64, accumulators = 8, prefetch_distance = 0, unpack = spread> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x64_align1_f32_i32(
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-4: vector.broadcast {{.*}} : i64 to vector<8xi64>

// -----

// 23 columns of 24 codes: the second vector has one that is no column.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [23], f32>
trec.table @t : !trec.table<1000x23, int4, #layout>
func.func @odd(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<23, int4, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = spread> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x23_align1_f32_i32(
// CHECK: vector.shuffle {{.*}} [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15] : vector<16xf32>
// CHECK: vector.shuffle {{.*}} [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13] : vector<16xf32>
// CHECK: vector.store {{.*}}, vector<15xf32>

// -----

// Where a vector has as many lanes as the CPU permutes, they look themselves up: what is above a code is left there.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int4, #layout>
func.func @lookup(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int4, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = spread_lookup> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x16_align1_f32_i32(
// CHECK: vector.bitcast %{{.*}} : vector<8xi64> to vector<16xi32>
// CHECK: %[[CODES:.*]] = arith.shrui %{{.*}} : vector<16xi32>
// CHECK-NOT: arith.andi {{.*}} vector<16xi32>
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%{{.*}}, %[[CODES]])
// CHECK-NOT: arith.sitofp {{.*}} vector<16xf32>
// CHECK: vector.shuffle

// -----

// Of eight lanes INT4 has no lookup: its codes are converted.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int4, #layout>
func.func @no_lookup(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int4, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = spread_lookup> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x8_align1_f32_i32(
// CHECK: %[[CODES:.*]] = arith.andi {{.*}} : vector<8xi32>
// CHECK: arith.sitofp %[[CODES]]
