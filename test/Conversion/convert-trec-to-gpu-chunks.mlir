// RUN: trec-opt %s --convert-trec-to-gpu --split-input-file | FileCheck %s

// Eight groups of four lanes share a bag, and a warp has one: a lane holds an id, of whose rows each group loads five,
// eight apart. At the end the eight sums of a column are added, those of neighbours first, and one group stores them.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int4, #layout>
func.func @parts(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<32, int4, #layout>
    bounds warning gpu_lowering <lanes = 4, units_per_lane = 1, rows_in_flight = 4, numerics = relaxed, bag_parts = 8>
    : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: nvvm.redux.sync max
// CHECK: scf.for {{.*}} step %c32_i32
// CHECK: scf.for
// CHECK-COUNT-4: nvvm.shfl.sync idx {{.*}} : i32 -> i32
// CHECK-NOT: nvvm.shfl
// CHECK-COUNT-4: ld.global.nc.b32
// CHECK-COUNT-32: arith.addf %{{.*}} : f32
// CHECK-NOT: arith.addf
// CHECK: arith.constant 4 : i32
// CHECK-COUNT-8: nvvm.shfl.sync bfly {{.*}} : f32 -> f32
// CHECK: arith.constant 8 : i32
// CHECK-COUNT-8: nvvm.shfl.sync bfly {{.*}} : f32 -> f32
// CHECK: arith.constant 16 : i32
// CHECK-COUNT-8: nvvm.shfl.sync bfly {{.*}} : f32 -> f32
// CHECK-NOT: nvvm.shfl
// CHECK: st.global.cs.v4.b32

// -----

// Rows and headers are the first to leave the cache; ids, which are read in several pieces, are not.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @evict_first(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, evict_first = true> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: nvvm.redux.sync max
// CHECK: ld.global.nc.b32
// CHECK: scf.for
// CHECK: ld.global.nc.b32
// CHECK: scf.for
// CHECK-COUNT-8: "ld.global.L1::evict_first.b32 $0, [$1];"
// CHECK: nvvm.bar.warp.sync
// CHECK-NEXT: arith.subi
// CHECK: "@$2 ld.global.L1::evict_first.b32 $0, [$1];"
// CHECK-NOT: ld.global
// CHECK: st.global

// -----

// Ten ids of a bag are on four lanes, and their rows are one chunk: in flight together, or five where no bag of the warp
// has more.
#layout = #trec.row_layout<header = none, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, fp16, #layout>
func.func @half_of_a_chunk(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<32, fp16, #layout>
    bounds warning gpu_lowering <lanes = 4, units_per_lane = 1, rows_in_flight = 10> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: nvvm.redux.sync max
// CHECK: scf.for
// CHECK: %[[LEFT:.*]] = arith.subi
// CHECK: %[[IS_LONG:.*]] = arith.cmpi sgt, %[[LEFT]], %c5_i32
// CHECK: scf.if %[[IS_LONG]]
// CHECK-COUNT-10: ld.global.nc.v4.b32
// CHECK-NOT: ld.global
// CHECK: } else {
// CHECK-COUNT-5: ld.global.nc.v4.b32
// CHECK-NOT: ld.global
// CHECK: scf.yield
