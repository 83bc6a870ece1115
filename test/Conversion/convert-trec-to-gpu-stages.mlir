// RUN: trec-opt %s --convert-trec-to-gpu --split-input-file | FileCheck %s

// Rows by way of shared memory: 2 stages of 16 rows of 144 bytes for each of 4 warps. 144 pieces of 16 bytes are 4.5 of
// each lane; what is not there is zeros.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @int8(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 16, stages = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK-SAME: workgroup(%{{.*}} : memref<18432xi8, #gpu.address_space<workgroup>> {llvm.align = 16 : i64})

// All stages but the last, before the loop.
// CHECK-COUNT-5: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg, %{{.*}}
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group

// One stage is started, one waited for, and added between two barriers of the warp: sixteen rows at a time, then
// two. A row has its header and four codes.
// CHECK: scf.for
// CHECK-COUNT-5: nvvm.cp.async.shared.global
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 1
// CHECK: nvvm.bar.warp.sync
// CHECK: scf.for
// CHECK-COUNT-32: llvm.load %{{.*}} : !llvm.ptr<3> -> i32
// CHECK-NOT: llvm.load %{{.*}} : !llvm.ptr<3>
// CHECK-COUNT-64: arith.addf %{{.*}} : f32
// CHECK-NOT: arith.addf
// CHECK: scf.for
// CHECK-COUNT-4: llvm.load %{{.*}} : !llvm.ptr<3> -> i32
// CHECK-NOT: llvm.load %{{.*}} : !llvm.ptr<3>
// CHECK-COUNT-8: arith.addf %{{.*}} : f32
// CHECK: nvvm.bar.warp.sync
// CHECK: st.global.cs.v4.b32

// A block that works on one bag: each warp copies its part of the rows, and all threads add all of them, in one column
// each.
// CHECK-LABEL: gpu.func @trec_forward_shared_i32(
// CHECK-SAME: workgroup(%{{.*}} : memref<18432xi8, #gpu.address_space<workgroup>>
// CHECK-NOT: nvvm.bar.warp.sync
// CHECK: nvvm.cp.async.wait.group 1
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-16: llvm.load %{{.*}} : !llvm.ptr<3> -> i8
// CHECK-NOT: llvm.load %{{.*}} : !llvm.ptr<3> -> i8
// CHECK-COUNT-16: arith.addf %{{.*}} : f32
// CHECK-NOT: arith.addf
// CHECK: scf.for
// CHECK-COUNT-2: llvm.load %{{.*}} : !llvm.ptr<3> -> i8
// CHECK: gpu.barrier
// CHECK-NOT: nvvm.bar.warp.sync
// CHECK: st.global.cs.b32
// CHECK-LABEL: gpu.func @trec_forward_i64(

// -----

// For few bags alone, with weights behind the stages of a warp: 3 * 8 rows of 4 bags, 64 bytes each and 4.
#float = #trec.row_layout<header = none, align = 16>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, fp16, #float>
func.func @weighted(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<32, fp16, #float>
    bounds warning gpu_lowering <lanes = 4, units_per_lane = 1, rows_in_flight = 4, few_lanes = 8,
                                 few_units_per_lane = 1, few_rows_in_flight = 8, few_stages = 3> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK-NOT: workgroup
// CHECK-NOT: nvvm.cp.async
// CHECK-LABEL: gpu.func @trec_forward_few_i32(
// CHECK-SAME: workgroup(%{{.*}} : memref<26112xi8, #gpu.address_space<workgroup>>
// CHECK: nvvm.cp.async.wait.group 2
// CHECK: llvm.store %{{.*}} : i32, !llvm.ptr<3>
// CHECK: nvvm.bar.warp.sync
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> i32
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> vector<4xi32>

// Among 128 threads a unit is one column of 2 bytes: no more stages for a bag than for the four bags of a warp before.
// CHECK-LABEL: gpu.func @trec_forward_shared_i32(
// CHECK-SAME: workgroup(%{{.*}} : memref<26112xi8, #gpu.address_space<workgroup>>
// CHECK: nvvm.cp.async.wait.group 2
// CHECK: gpu.barrier
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> i16
// CHECK: gpu.barrier

// -----

// Another bound for the registers of kernels for few bags.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @bound(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, few_lanes = 32,
                                 few_units_per_lane = 1, few_rows_in_flight = 16, few_stages = 2,
                                 few_blocks_per_sm = 5> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32({{.*}} nvvm.minctasm = 8
// CHECK-LABEL: gpu.func @trec_forward_few_i32({{.*}} nvvm.minctasm = 5
// CHECK-LABEL: gpu.func @trec_forward_shared_i32({{.*}} nvvm.minctasm = 5
