// RUN: trec-opt %s --trec-select-gpu-lowering --split-input-file | FileCheck %s
// RUN: trec-opt %s --trec-select-gpu-lowering=numerics=cpu --split-input-file | FileCheck %s --check-prefix=CPU
// RUN: trec-opt %s --trec-select-gpu-lowering=numerics=relaxed --split-input-file | FileCheck %s --check-prefix=RELAXED

#quantized = #trec.row_layout<header = f16, align = 16>
#float = #trec.row_layout<header = none, align = 16>
!kjt = !trec.kjt<["f"]>

// What a test or a tuner wrote stays; what is chosen for a CPU is another matter.
!keyed = !trec.keyed_tensor<["f"], [128], f32>
!dict = !trec.jagged_dict<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #quantized>
// CHECK-LABEL: func.func @kept(
// CHECK: lowering <vector_width = 8, accumulators = 2, prefetch_distance = 0> gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, few_lanes = 32, few_units_per_lane = 1, few_rows_in_flight = 16, few_stages = 2, few_blocks_per_sm = 5> :
// CHECK: gpu_lowering <lanes = 4, units_per_lane = 8, rows_in_flight = 1, warps = 8> :
// CHECK: trec.embedding_group
// CHECK-SAME: gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 8, few_blocks_per_sm = 5> :
// CPU-LABEL: func.func @kept(
// CPU: gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, numerics = cpu, few_lanes = 32, few_units_per_lane = 1, few_rows_in_flight = 16, few_stages = 2, few_blocks_per_sm = 5> :
// CPU: gpu_lowering <lanes = 4, units_per_lane = 8, rows_in_flight = 1, warps = 8> :
// Sums are split where that was measured to be faster, not by the cost model.
// RELAXED-LABEL: func.func @kept(
// RELAXED: gpu_lowering <{{.*}}numerics = relaxed
// RELAXED-NOT: bag_parts
func.func @kept(%kjt: !kjt, %dest: !keyed, %dict: !dict) -> (!keyed, !dict) {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning lowering <vector_width = 8, accumulators = 2, prefetch_distance = 0> : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning gpu_lowering <lanes = 4, units_per_lane = 8, rows_in_flight = 1, warps = 8> : !kjt, !keyed
  %2 = trec.embedding_group %kjt into %dict [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning : !kjt, !dict
  return %1, %2 : !keyed, !dict
}

// 32 words: two for each lane, and for few bags one.
!keyed0 = !trec.keyed_tensor<["f"], [128], f32>
trec.table @int8x128 : !trec.table<1000x128, int8, #quantized>
// CHECK-LABEL: func.func @of_int8x128(
// CHECK: gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, few_lanes = 32, few_units_per_lane = 1, few_rows_in_flight = 16, few_stages = 2, few_blocks_per_sm = 5> :
func.func @of_int8x128(%kjt: !kjt, %dest: !keyed0) -> !keyed0 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int8x128, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning : !kjt, !keyed0
  return %0 : !keyed0
}

// 16 words: four bags per warp.
!keyed1 = !trec.keyed_tensor<["f"], [64], f32>
trec.table @int8x64 : !trec.table<1000x64, int8, #quantized>
// CHECK-LABEL: func.func @of_int8x64(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 2, rows_in_flight = 4, few_lanes = 16, few_units_per_lane = 1, few_rows_in_flight = 16, few_stages = 2, few_blocks_per_sm = 5> :
func.func @of_int8x64(%kjt: !kjt, %dest: !keyed1) -> !keyed1 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int8x64, "f", 0>] rows !trec.row<64, int8, #quantized>
    bounds warning : !kjt, !keyed1
  return %0 : !keyed1
}

// 64 words: half a warp holds the row.
!keyed2 = !trec.keyed_tensor<["f"], [256], f32>
trec.table @int8x256 : !trec.table<1000x256, int8, #quantized>
// CHECK-LABEL: func.func @of_int8x256(
// CHECK: gpu_lowering <lanes = 16, units_per_lane = 4, rows_in_flight = 4, few_lanes = 32, few_units_per_lane = 2, few_rows_in_flight = 8, few_stages = 3, few_blocks_per_sm = 5> :
func.func @of_int8x256(%kjt: !kjt, %dest: !keyed2) -> !keyed2 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int8x256, "f", 0>] rows !trec.row<256, int8, #quantized>
    bounds warning : !kjt, !keyed2
  return %0 : !keyed2
}

// 24 words: no lane is idle.
!keyed3 = !trec.keyed_tensor<["f"], [96], f32>
trec.table @int8x96 : !trec.table<1000x96, int8, #quantized>
// CHECK-LABEL: func.func @of_int8x96(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 3, rows_in_flight = 2, few_lanes = 8, few_units_per_lane = 3, few_rows_in_flight = 4, few_stages = 3, few_blocks_per_sm = 5> :
func.func @of_int8x96(%kjt: !kjt, %dest: !keyed3) -> !keyed3 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int8x96, "f", 0>] rows !trec.row<96, int8, #quantized>
    bounds warning : !kjt, !keyed3
  return %0 : !keyed3
}

// One word.
!keyed4 = !trec.keyed_tensor<["f"], [1], f32>
trec.table @int8x1 : !trec.table<1000x1, int8, #quantized>
// CHECK-LABEL: func.func @of_int8x1(
// CHECK: gpu_lowering <lanes = 1, units_per_lane = 1, rows_in_flight = 8, few_lanes = 1, few_units_per_lane = 1, few_rows_in_flight = 16, few_blocks_per_sm = 5> :
func.func @of_int8x1(%kjt: !kjt, %dest: !keyed4) -> !keyed4 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int8x1, "f", 0>] rows !trec.row<1, int8, #quantized>
    bounds warning : !kjt, !keyed4
  return %0 : !keyed4
}

// 512 words: four passes over a bag.
!keyed5 = !trec.keyed_tensor<["f"], [2048], f32>
trec.table @int8x2048 : !trec.table<1000x2048, int8, #quantized>
// CHECK-LABEL: func.func @of_int8x2048(
// CHECK: gpu_lowering <lanes = 32, units_per_lane = 4, rows_in_flight = 2, few_lanes = 32, few_units_per_lane = 4, few_rows_in_flight = 4, few_blocks_per_sm = 5> :
func.func @of_int8x2048(%kjt: !kjt, %dest: !keyed5) -> !keyed5 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int8x2048, "f", 0>] rows !trec.row<2048, int8, #quantized>
    bounds warning : !kjt, !keyed5
  return %0 : !keyed5
}

// 8 words.
!keyed6 = !trec.keyed_tensor<["f"], [64], f32>
trec.table @int4x64 : !trec.table<1000x64, int4, #quantized>
// CHECK-LABEL: func.func @of_int4x64(
// CHECK: gpu_lowering <lanes = 4, units_per_lane = 2, rows_in_flight = 4, few_lanes = 8, few_units_per_lane = 1, few_rows_in_flight = 8, few_stages = 4, few_blocks_per_sm = 5> :
func.func @of_int4x64(%kjt: !kjt, %dest: !keyed6) -> !keyed6 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int4x64, "f", 0>] rows !trec.row<64, int4, #quantized>
    bounds warning : !kjt, !keyed6
  return %0 : !keyed6
}

// 64 words.
!keyed7 = !trec.keyed_tensor<["f"], [512], f32>
trec.table @int4x512 : !trec.table<1000x512, int4, #quantized>
// CHECK-LABEL: func.func @of_int4x512(
// CHECK: gpu_lowering <lanes = 32, units_per_lane = 2, rows_in_flight = 4, few_lanes = 32, few_units_per_lane = 2, few_rows_in_flight = 8, few_stages = 3, few_blocks_per_sm = 5> :
func.func @of_int4x512(%kjt: !kjt, %dest: !keyed7) -> !keyed7 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int4x512, "f", 0>] rows !trec.row<512, int4, #quantized>
    bounds warning : !kjt, !keyed7
  return %0 : !keyed7
}

// 8 words.
!keyed8 = !trec.keyed_tensor<["f"], [128], f32>
trec.table @int2x128 : !trec.table<1000x128, int2, #quantized>
// CHECK-LABEL: func.func @of_int2x128(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 1, rows_in_flight = 8, few_lanes = 8, few_units_per_lane = 1, few_rows_in_flight = 8, few_stages = 4, few_blocks_per_sm = 5> :
func.func @of_int2x128(%kjt: !kjt, %dest: !keyed8) -> !keyed8 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@int2x128, "f", 0>] rows !trec.row<128, int2, #quantized>
    bounds warning : !kjt, !keyed8
  return %0 : !keyed8
}

// 16 units of 16 bytes.
!keyed9 = !trec.keyed_tensor<["f"], [128], f32>
trec.table @fp16x128 : !trec.table<1000x128, fp16, #float>
// CHECK-LABEL: func.func @of_fp16x128(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 2, rows_in_flight = 2, few_lanes = 16, few_units_per_lane = 1, few_rows_in_flight = 4, few_stages = 3, few_blocks_per_sm = 5> :
func.func @of_fp16x128(%kjt: !kjt, %dest: !keyed9) -> !keyed9 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@fp16x128, "f", 0>] rows !trec.row<128, fp16, #float>
    bounds warning : !kjt, !keyed9
  return %0 : !keyed9
}

// 32 units.
!keyed10 = !trec.keyed_tensor<["f"], [128], f32>
trec.table @fp32x128 : !trec.table<1000x128, fp32, #float>
// CHECK-LABEL: func.func @of_fp32x128(
// CHECK: gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 2, few_lanes = 32, few_units_per_lane = 1, few_rows_in_flight = 4, few_stages = 3, few_blocks_per_sm = 5> :
func.func @of_fp32x128(%kjt: !kjt, %dest: !keyed10) -> !keyed10 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@fp32x128, "f", 0>] rows !trec.row<128, fp32, #float>
    bounds warning : !kjt, !keyed10
  return %0 : !keyed10
}

// 4 units.
!keyed11 = !trec.keyed_tensor<["f"], [64], f32>
trec.table @fp8x64 : !trec.table<1000x64, fp8, #float>
// CHECK-LABEL: func.func @of_fp8x64(
// CHECK: gpu_lowering <lanes = 4, units_per_lane = 1, rows_in_flight = 4, few_lanes = 4, few_units_per_lane = 1, few_rows_in_flight = 4, few_stages = 3, few_blocks_per_sm = 5> :
func.func @of_fp8x64(%kjt: !kjt, %dest: !keyed11) -> !keyed11 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@fp8x64, "f", 0>] rows !trec.row<64, fp8, #float>
    bounds warning : !kjt, !keyed11
  return %0 : !keyed11
}

// 1 unit.
!keyed12 = !trec.keyed_tensor<["f"], [8], f32>
trec.table @bf16x8 : !trec.table<1000x8, bf16, #float>
// CHECK-LABEL: func.func @of_bf16x8(
// CHECK: gpu_lowering <lanes = 1, units_per_lane = 1, rows_in_flight = 4, few_blocks_per_sm = 5> :
func.func @of_bf16x8(%kjt: !kjt, %dest: !keyed12) -> !keyed12 {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@bf16x8, "f", 0>] rows !trec.row<8, bf16, #float>
    bounds warning : !kjt, !keyed12
  return %0 : !keyed12
}

// -----

// Kernels for few bags of no more than three groups have registers for as many blocks as the others.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #quantized>
// CHECK-LABEL: func.func @three_groups(
// CHECK-NOT: few_blocks_per_sm
func.func @three_groups(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning : !kjt, !keyed
  %2 = trec.embedding_bag_group sum %kjt into %1 [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #quantized>
    bounds warning : !kjt, !keyed
  return %2 : !keyed
}

// -----

// Where the model's only group is promised bags of one length, all of their rows are in flight, with registers for more
// blocks, or for two units of eight codes a lane. Kernels for few bags are as they were.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #quantized>
// CHECK-LABEL: func.func @promised_int8(
// CHECK: gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 20, blocks_per_sm = 12, few_lanes = 32, few_units_per_lane = 1, few_rows_in_flight = 16, few_stages = 2, few_blocks_per_sm = 8> :
func.func @promised_int8(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 20>]
    rows !trec.row<128, int8, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int4, #quantized>
// CHECK-LABEL: func.func @promised_int4(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 2, rows_in_flight = 20, blocks_per_sm = 7,
func.func @promised_int4(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 20>]
    rows !trec.row<128, int4, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

// More rows than there are registers for, and the schedule is that of any length.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #quantized>
// CHECK-LABEL: func.func @promised_long(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 4, rows_in_flight = 4, few_lanes = 32,
// CHECK-NOT: blocks_per_sm
func.func @promised_long(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 21>]
    rows !trec.row<128, int8, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

// The only group of a module: words of codes of few rows leave registers for more blocks.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int4, #quantized>
// CHECK-LABEL: func.func @alone_int4x128(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 2, rows_in_flight = 4, blocks_per_sm = 10,
// CHECK-SAME: few_blocks_per_sm = 8> :
func.func @alone_int4x128(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<128, int4, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

// The only group of a module: a lane sums each of 8 or 16 words, with the fewest registers.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
trec.table @t : !trec.table<1000x64, int8, #quantized>
// CHECK-LABEL: func.func @alone_int8x64(
// CHECK: gpu_lowering <lanes = 16, units_per_lane = 1, rows_in_flight = 8, blocks_per_sm = 16,
func.func @alone_int8x64(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int8, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

// The only group of a module: ten rows of four units are in flight.
#float = #trec.row_layout<header = none, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, fp16, #float>
// CHECK-LABEL: func.func @alone_fp16x32(
// CHECK: gpu_lowering <lanes = 4, units_per_lane = 1, rows_in_flight = 10, few_lanes
func.func @alone_fp16x32(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, fp16, #float> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int8, #quantized>
// CHECK-LABEL: func.func @alone_int8x32(
// CHECK: gpu_lowering <lanes = 8, units_per_lane = 1, rows_in_flight = 8, blocks_per_sm = 16,
func.func @alone_int8x32(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int8, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

// Two lanes for a row, of which each sums 16 columns: no registers to spare.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int2, #quantized>
// CHECK-LABEL: func.func @alone_int2x32(
// CHECK: gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8, few_lanes
func.func @alone_int2x32(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int2, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

// Where outputs have 16 bits rows leave the cache first, up to 192 bytes of them, if they are pooled and not all are in
// flight at once.
#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f16>
!dict = !trec.jagged_dict<["f"], [128], f16>
trec.table @t : !trec.table<1000x128, int8, #quantized>
// CHECK-LABEL: func.func @evict_first(
// CHECK: trec.embedding_bag_group
// CHECK-SAME: evict_first = true> :
// CHECK: trec.embedding_group
// CHECK-NOT: evict_first
func.func @evict_first(%kjt: !kjt, %dest: !keyed, %dict: !dict) -> (!keyed, !dict) {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<128, int8, #quantized> bounds warning : !kjt, !keyed
  %1 = trec.embedding_group %kjt into %dict [#trec.bag<@t, "f", 0>]
    rows !trec.row<128, int8, #quantized> bounds warning : !kjt, !dict
  return %0, %1 : !keyed, !dict
}

// -----

#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [256], bf16>
trec.table @t : !trec.table<1000x256, int8, #quantized>
// CHECK-LABEL: func.func @too_wide(
// CHECK-NOT: evict_first
func.func @too_wide(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<256, int8, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f16>
trec.table @t : !trec.table<1000x128, int4, #quantized>
// CHECK-LABEL: func.func @all_in_flight(
// CHECK: rows_in_flight = 20
// CHECK-NOT: evict_first
func.func @all_in_flight(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 20>]
    rows !trec.row<128, int4, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

#quantized = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
trec.table @t : !trec.table<1000x32, int4, #quantized>
// CHECK-LABEL: func.func @alone_int4x32(
// CHECK: gpu_lowering <lanes = 4, units_per_lane = 1, rows_in_flight = 10, few_lanes
func.func @alone_int4x32(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<32, int4, #quantized> bounds warning : !kjt, !keyed
  return %0 : !keyed
}
