// RUN: trec-opt %s --convert-trec-to-gpu | FileCheck %s --implicit-check-not=trec.table --implicit-check-not=func.func

// One kernel for ids of 32 bits, one for 64, and one that sums lengths. Each group is a case of the first two.
#layout = #trec.row_layout<header = f16, align = 16>
#float = #trec.row_layout<header = none, align = 16>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["f", "g"], [128, 8], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
trec.table @u : !trec.table<1000x8, fp32, #float>
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 2> : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@u, "g", 128>] rows !trec.row<8, fp32, #float>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 4> : !kjt, !keyed
  return %1 : !keyed
}
// CHECK: module attributes {gpu.container_module}
// CHECK: gpu.module @trec_gpu attributes {llvm.data_layout =
// CHECK: gpu.func @trec_forward_i32(%{{.*}}: !llvm.ptr) kernel
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// CHECK-SAME: nvvm.minctasm = 8
// CHECK-SAME: trec.argument_bytes =

// The block's lookup, and steps until its samples are done.
// CHECK: scf.while
// CHECK: scf.index_switch

// INT8: two rows in flight, whose codes become halves by multiply-adds of two halves, two for a word of four codes. They
// are added one row after the other, and nothing else is fused.
// CHECK: case 0
// CHECK: scf.for
// CHECK-COUNT-2: nvvm.shfl.sync
// CHECK-NOT: llvm.intr.fma
// CHECK: llvm.intr.fma({{.*}}) : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> vector<2xf16>
// CHECK: llvm.intr.fma({{.*}}) : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> vector<2xf16>
// CHECK-NOT: llvm.intr.fma
// CHECK-COUNT-4: arith.addf %{{.*}} : f32
// CHECK-NOT: arith.addf
// CHECK: llvm.intr.fma({{.*}}) : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> vector<2xf16>
// CHECK: llvm.intr.fma({{.*}}) : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> vector<2xf16>
// CHECK-NOT: llvm.intr.fma
// CHECK-COUNT-4: arith.addf %{{.*}} : f32
// CHECK-NOT: arith.addf
// CHECK: st.global.cs.v4.b32

// FP32: no header, and MEAN divides once, after all rows.
// CHECK: case 1
// CHECK: scf.for
// CHECK-NOT: f16
// CHECK-COUNT-16: arith.addf %{{.*}} : f32
// CHECK-NOT: arith.addf
// CHECK: arith.divf
// CHECK: st.global.cs.v4.b32

// CHECK: gpu.func @trec_forward_i64(%{{.*}}: !llvm.ptr) kernel
// CHECK: gpu.func @trec_scan_lengths(%{{.*}}: !llvm.ptr)
// CHECK: gpu.barrier
