// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// INT4: an accumulator for the low and one for the high codes of a byte. They are
// interleaved once per bag, after the rows.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int4, #layout>
func.func @int4(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int4, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x16_align1_f32_i32(
// CHECK-SAME: memref<?x12xi8>
// CHECK: %[[POOLED:.*]]:2 = scf.for {{.*}} iter_args(%[[LOW:.*]] = %{{.*}}, %[[HIGH:.*]] = %{{.*}}) -> (vector<8xf32>, vector<8xf32>)
// CHECK: vector.load %{{.*}} : memref<?x12xi8>, vector<8xi8>
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x12xi8>, vector<8xi8>
// CHECK: %[[PACKED:.*]] = arith.extui %[[BYTES]] : vector<8xi8> to vector<8xi32>
// CHECK: %[[MASK:.*]] = arith.constant dense<15> : vector<8xi32>
// CHECK: %[[CODES0:.*]] = arith.andi %[[PACKED]], %[[MASK]]
// CHECK: %[[Q0:.*]] = arith.sitofp %[[CODES0]]
// CHECK: %[[FOUR:.*]] = arith.constant dense<4> : vector<8xi32>
// CHECK: %[[CODES1:.*]] = arith.shrui %[[PACKED]], %[[FOUR]]
// CHECK-NOT: arith.andi
// CHECK: %[[Q1:.*]] = arith.sitofp %[[CODES1]]
// CHECK: arith.addf %[[LOW]],
// CHECK: math.fma %[[Q0]],
// CHECK: arith.addf %[[HIGH]],
// CHECK: math.fma %[[Q1]],
// CHECK-NOT: vector.interleave
// CHECK: else
// CHECK: scf.yield %[[LOW]], %[[HIGH]]
// CHECK: scf.yield
// CHECK-NEXT: }
// CHECK: %[[ALL:.*]] = vector.interleave %[[POOLED]]#0, %[[POOLED]]#1 : vector<8xf32> -> vector<16xf32>
// CHECK: vector.store %[[ALL]]
// CHECK-COUNT-1: vector.interleave
// CHECK-NOT: vector.interleave

// CHECK-LABEL: func.func private @bag_sum_int4x16_align1_f32_i64(

// -----

// INT2: four accumulators. Positions 0 and 2, 1 and 3, then both pairs.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int2, #layout>
func.func @int2(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int2, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x16_align1_f32_i32(
// CHECK: %[[P:.*]]:4 = scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// CHECK: arith.andi %{{.*}} : vector<4xi32>
// CHECK: arith.constant dense<2> : vector<4xi32>
// CHECK: arith.shrui
// CHECK: arith.andi
// CHECK: arith.constant dense<4> : vector<4xi32>
// CHECK: arith.shrui
// CHECK: arith.andi
// CHECK: arith.constant dense<6> : vector<4xi32>
// CHECK: arith.shrui
// CHECK-NOT: arith.andi
// CHECK-COUNT-4: math.fma
// CHECK-NOT: math.fma
// CHECK: %[[FIRST:.*]] = vector.interleave %[[P]]#0, %[[P]]#1 : vector<4xf32> -> vector<8xf32>
// CHECK: %[[LOW:.*]] = vector.bitcast %[[FIRST]] : vector<8xf32> to vector<4xf64>
// CHECK: %[[SECOND:.*]] = vector.interleave %[[P]]#2, %[[P]]#3 : vector<4xf32> -> vector<8xf32>
// CHECK: %[[HIGH:.*]] = vector.bitcast %[[SECOND]] : vector<8xf32> to vector<4xf64>
// CHECK: %[[PAIRS:.*]] = vector.interleave %[[LOW]], %[[HIGH]] : vector<4xf64> -> vector<8xf64>
// CHECK: %[[ALL:.*]] = vector.bitcast %[[PAIRS]] : vector<8xf64> to vector<16xf32>
// CHECK: vector.store %[[ALL]]

// -----

// Five INT4 columns are three bytes; the sixth code is zero and is not stored.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [5], f32>
trec.table @t : !trec.table<1000x5, int4, #layout>
func.func @int4_odd(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<5, int4, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x5_align1_f32_i32(
// CHECK-SAME: memref<?x7xi8>
// CHECK: %[[P:.*]]:4 = scf.for {{.*}} -> (vector<2xf32>, vector<2xf32>, vector<2xf32>, vector<2xf32>)
// CHECK: arith.constant 4 : index
// CHECK: vector.load %{{.*}} : memref<?x7xi8>, vector<2xi8>
// CHECK: arith.constant 5 : index
// CHECK: vector.load %{{.*}} : memref<?x7xi8>, vector<2xi8>
// CHECK: %[[FIRST:.*]] = vector.interleave %[[P]]#0, %[[P]]#1 : vector<2xf32> -> vector<4xf32>
// CHECK: vector.store %[[FIRST]], %{{.*}} : memref<?x5xf32, strided<[?, 1]>>, vector<4xf32>
// CHECK: %[[PAIR:.*]] = vector.interleave %[[P]]#2, %[[P]]#3 : vector<2xf32> -> vector<4xf32>
// CHECK: %[[LAST:.*]] = vector.extract_strided_slice %[[PAIR]] {offsets = [0], sizes = [3], strides = [1]}
// CHECK: arith.constant 2 : index
// CHECK: vector.store %[[LAST]], %{{.*}} : memref<?x5xf32, strided<[?, 1]>>, vector<3xf32>

// -----

// Nothing past the last byte is read: 100 INT8 columns are six times 16, and 16 that begin at column 84.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [100], f32>
trec.table @t : !trec.table<1000x100, int8, #layout>
func.func @int8_tail(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<100, int8, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x100_align1_f32_i32(
// CHECK-SAME: memref<?x104xi8>
// CHECK-COUNT-6: vector.load %{{.*}} : memref<?x104xi8>, vector<16xi8>
// CHECK: arith.constant 88 : index
// CHECK: vector.load %{{.*}} : memref<?x104xi8>, vector<16xi8>
// CHECK-NOT: memref<?x104xi8>, vector<16xi8>
// CHECK-COUNT-6: vector.store %{{.*}} : memref<?x100xf32, strided<[?, 1]>>, vector<16xf32>
// CHECK: arith.constant 84 : index
// CHECK: vector.store %{{.*}} : memref<?x100xf32, strided<[?, 1]>>, vector<16xf32>

// -----

// By look-up a code is an index into a constant, and is not masked; where a vector is not as wide as the CPU's
// permutation, codes are converted.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int4, #layout>
func.func @lookup(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int4, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = lookup> : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int4, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, unpack = lookup> : !kjt, !keyed
  return %1 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int4x32_align1_f32_i32(
// CHECK-NOT: arith.andi
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
// CHECK: arith.shrui
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
// CHECK-NOT: arith.sitofp
// CHECK-LABEL: func.func private @bag_mean_int4x32_align1_f32_i32(
// CHECK-NOT: llvm.call_intrinsic
// CHECK: arith.andi

// -----

#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
trec.table @t : !trec.table<1000x64, int2, #layout>
func.func @lookup_int2(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, unpack = lookup> : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int2, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, unpack = lookup> : !kjt, !keyed
  return %1 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x64_align1_f32_i32(
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.avx512.vpermilvar.ps.512"
// CHECK-LABEL: func.func private @bag_mean_int2x64_align1_f32_i32(
// CHECK: llvm.call_intrinsic "llvm.x86.avx.vpermilvar.ps.256"
