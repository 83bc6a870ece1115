// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-select-lowering | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v4 | FileCheck %s --check-prefixes=CHECK,V4,WIDE
// RUN: trec-opt %s --trec-select-lowering=cpu=armv8-a | FileCheck %s --check-prefixes=CHECK,NEON
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-256 | FileCheck %s --check-prefixes=CHECK,SVE256
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-512 | FileCheck %s --check-prefixes=CHECK,SVE512,WIDE

#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
!dict = !trec.jagged_dict<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>

// V2 has neither FMA nor F16C, every AArch64 has both; code for NEON needs more of its 32 registers for codes. Headers go by
// memory on the level whose CPUs may shuffle one vector at a time.
// CHECK-LABEL: func.func @forward(
// CHECK: trec.embedding_bag_group sum
// V2-SAME: lowering <vector_width = 4, accumulators = 8, prefetch_distance = 16, fma = library, half = integer, certified = bias_once, stores = streaming, output_distance = 2>
// V3-SAME: lowering <vector_width = 8, accumulators = 8, prefetch_distance = 16, certified = bias_once, stores = streaming, output_distance = 2> :
// V4-SAME: lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16, rows_at_once = 2, header = memory, certified = bias_once, stores = streaming, output_distance = 2> :
// SVE512-SAME: lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16, rows_at_once = 2, certified = bias_once, stores = streaming, output_distance = 2> :
// NEON-SAME: lowering <vector_width = 4, accumulators = 16, prefetch_distance = 16, certified = bias_once, stores = streaming, output_distance = 2> :
// SVE256-SAME: lowering <vector_width = 8, accumulators = 24, prefetch_distance = 16, certified = bias_once, stores = streaming, output_distance = 2> :
// What a test or a tuner wrote stays.
// CHECK: trec.embedding_bag_group mean
// CHECK-SAME: lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, fma = library, half = integer> :
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !row bounds warning : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, fma = library, half = integer> : !kjt, !keyed
  return %1 : !keyed
}

// Outputs whose rows are whole cache lines may be streamed: 16 columns of f32, 32 of f16, but not 16 of these. Of rows of up
// to two lines a bag's own is fetched.
// CHECK-LABEL: func.func @lines(
// CHECK: rows !trec.row<16, {{.*}} lowering <{{.*}}stores = streaming>
// CHECK: rows !trec.row<17,
// CHECK-NOT: stores
// CHECK: func.func @half_lines(
// CHECK: rows !trec.row<16,
// CHECK-NOT: stores
// CHECK: rows !trec.row<32, {{.*}} lowering <{{.*}}stores = streaming>
trec.table @t16 : !trec.table<1000x16, int8, #layout>
trec.table @t17 : !trec.table<1000x17, int8, #layout>
trec.table @t32 : !trec.table<1000x32, int8, #layout>
!mixed = !trec.keyed_tensor<["f", "g"], [16, 17], f32>
!halves = !trec.keyed_tensor<["f", "g"], [16, 32], f16>
!two = !trec.kjt<["f", "g"]>
func.func @lines(%kjt: !two, %dest: !mixed) -> !mixed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t16, "f", 0>] rows !trec.row<16, int8, #layout> bounds warning : !two, !mixed
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@t17, "g", 16>] rows !trec.row<17, int8, #layout> bounds warning : !two, !mixed
  return %1 : !mixed
}
func.func @half_lines(%kjt: !two, %dest: !halves) -> !halves {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t16, "f", 0>] rows !trec.row<16, int8, #layout> bounds warning : !two, !halves
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@t32, "g", 16>] rows !trec.row<32, int8, #layout> bounds warning : !two, !halves
  return %1 : !halves
}

// Rows of up to two vectors are taken four at a time, wider ones two where vectors have 512 bits; not where ids are mapped.
// Headers of narrow rows of bytes stay in registers.
// CHECK-LABEL: func.func @narrow(
// CHECK: rows !trec.row<32,
// WIDE-SAME: rows_at_once = 4
// V4-NOT: header
// V3-NOT: rows_at_once
// NEON-NOT: rows_at_once
// CHECK: rows !trec.row<33,
// WIDE-SAME: rows_at_once = 2
// V4-SAME: header = memory
// V3-NOT: rows_at_once
// NEON-NOT: rows_at_once
// CHECK: rows !trec.row<16,
// CHECK-NOT: rows_at_once
trec.table @n33 : !trec.table<1000x33, int8, #layout>
trec.parameter @m maps <array> : tensor<?xi32>
!narrow = !trec.keyed_tensor<["f", "g"], [32, 33], f32>
func.func @narrow(%kjt: !two, %dest: !narrow) -> !narrow {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t32, "f", 0>] rows !trec.row<32, int8, #layout> bounds warning : !two, !narrow
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@n33, "g", 32>] rows !trec.row<33, int8, #layout> bounds warning : !two, !narrow
  %2 = trec.embedding_bag_group mean %kjt into %1 [#trec.bag<@t16, "f", 0, remap = @m>] rows !trec.row<16, int8, #layout> bounds warning : !two, !narrow
  return %2 : !narrow
}

// Codes are spread where bytes would leave lanes idle, and the CPU shifts each lane by a number of its own; and where 100
// INT4 codes of near tables are seven vectors, for their bytes are four that hold eight. They are looked up too where the
// level permutes as many lanes.
// CHECK-LABEL: func.func @spread(
// CHECK: rows !trec.row<60, int2
// V4-SAME: unpack = spread_lookup
// SVE512-SAME: unpack = spread,
// V3-SAME: unpack = lookup
// V2-NOT: unpack
// NEON-NOT: unpack
// CHECK: rows !trec.row<4, int4
// V2-NOT: unpack
// V3-SAME: unpack = spread,
// WIDE-SAME: unpack = spread,
// NEON-SAME: unpack = spread,
// SVE256-SAME: unpack = spread,
// CHECK-LABEL: func.func @spread_wide(
// CHECK: rows !trec.row<100, int4
// V4-SAME: unpack = spread_lookup
// SVE512-NOT: unpack
// V3-NOT: unpack
// CHECK: rows !trec.row<100, int4
// V4-SAME: unpack = lookup
// CHECK: rows !trec.row<16, int2
// V4-SAME: unpack = spread_lookup
// V3-SAME: unpack = spread_lookup
// SVE512-SAME: unpack = spread,
trec.table @i60 : !trec.table<1000x60, int2, #layout>
trec.table @i4 : !trec.table<1000x4, int4, #layout>
!packed = !trec.keyed_tensor<["f", "g"], [60, 4], f32>
func.func @spread(%kjt: !two, %dest: !packed) -> !packed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@i60, "f", 0>] rows !trec.row<60, int2, #layout> bounds warning : !two, !packed
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@i4, "g", 60>] rows !trec.row<4, int4, #layout> bounds warning : !two, !packed
  return %1 : !packed
}

trec.table @i100 : !trec.table<1000x100, int4, #layout>
trec.table @far100 : !trec.table<1000000x100, int4, #layout>
trec.table @i16 : !trec.table<1000x16, int2, #layout>
!three = !trec.kjt<["f", "g", "h"]>
!wide = !trec.keyed_tensor<["f", "g", "h"], [100, 100, 16], f32>
func.func @spread_wide(%kjt: !three, %dest: !wide) -> !wide {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@i100, "f", 0>] rows !trec.row<100, int4, #layout> bounds warning : !three, !wide
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@far100, "g", 100>] rows !trec.row<100, int4, #layout> bounds warning : !three, !wide
  %2 = trec.embedding_bag_group sum %kjt into %1 [#trec.bag<@i16, "h", 200>] rows !trec.row<16, int2, #layout> bounds warning : !three, !wide
  return %2 : !wide
}

// Rows that are not pooled.
// CHECK-LABEL: func.func @rows(
// CHECK: trec.embedding_group
// V2-SAME: lowering <vector_width = 4, accumulators = 8, prefetch_distance = 16, fma = library, half = integer, stores = streaming>
// V3-SAME: lowering <vector_width = 8, accumulators = 8, prefetch_distance = 16, stores = streaming> :
// V4-SAME: lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16, stores = streaming> :
// SVE512-SAME: lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16, stores = streaming> :
// NEON-SAME: lowering <vector_width = 4, accumulators = 16, prefetch_distance = 16, stores = streaming> :
// SVE256-SAME: lowering <vector_width = 8, accumulators = 24, prefetch_distance = 16, stores = streaming> :
// CHECK: trec.embedding_group
// CHECK-SAME: lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, half = integer> :
func.func @rows(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>] rows !row bounds warning : !kjt, !dict
  %1 = trec.embedding_group %kjt into %0 [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, half = integer> : !kjt, !dict
  return %1 : !dict
}

// Neither floats have headers nor rows that are handed out as they are stored: nothing goes by memory.
// CHECK-LABEL: func.func @no_headers(
// CHECK-NOT: header
// CHECK: return
trec.table @floats : !trec.table<1000x16, fp16, #trec.row_layout<header = none, align = 16>>
!stored = !trec.jagged_dict<["f"], [132], i8>
!floats = !trec.keyed_tensor<["f"], [16], f32>
func.func @no_headers(%kjt: !kjt, %dest: !floats, %stored: !stored) -> (!floats, !stored) {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@floats, "f", 0>] rows !trec.row<16, fp16, #trec.row_layout<header = none, align = 16>> bounds warning : !kjt, !floats
  %1 = trec.embedding_group %kjt into %stored [#trec.bag<@t, "f", 0>] rows !row bounds warning : !kjt, !stored
  return %0, %1 : !floats, !stored
}

// Two lines of the output are 32 columns of f32, and 33 are more.
// CHECK-LABEL: func.func @two_lines(
// CHECK: rows !trec.row<32, {{.*}} lowering <
// CHECK-NOT: output_distance
// CHECK: rows !trec.row<33, {{.*}} output_distance = 2>
trec.table @t33 : !trec.table<1000x33, int8, #layout>
!around = !trec.keyed_tensor<["f", "g"], [32, 33], f32>
func.func @two_lines(%kjt: !two, %dest: !around) -> !around {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t32, "f", 0>] rows !trec.row<32, int8, #layout> bounds warning : !two, !around
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@t33, "g", 32>] rows !trec.row<33, int8, #layout> bounds warning : !two, !around
  return %1 : !around
}
