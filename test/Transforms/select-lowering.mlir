// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-select-lowering | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v4 | FileCheck %s --check-prefixes=CHECK,V4
// RUN: trec-opt %s --trec-select-lowering=cpu=armv8-a | FileCheck %s --check-prefixes=CHECK,NEON
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-256 | FileCheck %s --check-prefixes=CHECK,SVE256
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-512 | FileCheck %s --check-prefixes=CHECK,V4

#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
!dict = !trec.jagged_dict<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>

// V2 has neither FMA nor F16C, every AArch64 has both; code for NEON needs more of its 32 registers for codes.
// CHECK-LABEL: func.func @forward(
// CHECK: trec.embedding_bag_group sum
// V2-SAME: lowering <vector_width = 4, accumulators = 8, prefetch_distance = 16, fma = library, half = integer, certified = bias_once>
// V3-SAME: lowering <vector_width = 8, accumulators = 8, prefetch_distance = 16, certified = bias_once> :
// V4-SAME: lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16, certified = bias_once> :
// NEON-SAME: lowering <vector_width = 4, accumulators = 16, prefetch_distance = 16, certified = bias_once> :
// SVE256-SAME: lowering <vector_width = 8, accumulators = 24, prefetch_distance = 16, certified = bias_once> :
// What a test or a tuner wrote stays.
// CHECK: trec.embedding_bag_group mean
// CHECK-SAME: lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, fma = library, half = integer> :
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !row bounds warning : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, fma = library, half = integer> : !kjt, !keyed
  return %1 : !keyed
}

// Rows that are not pooled.
// CHECK-LABEL: func.func @rows(
// CHECK: trec.embedding_group
// V2-SAME: lowering <vector_width = 4, accumulators = 8, prefetch_distance = 16, fma = library, half = integer>
// V3-SAME: lowering <vector_width = 8, accumulators = 8, prefetch_distance = 16> :
// V4-SAME: lowering <vector_width = 16, accumulators = 24, prefetch_distance = 16> :
// NEON-SAME: lowering <vector_width = 4, accumulators = 16, prefetch_distance = 16> :
// SVE256-SAME: lowering <vector_width = 8, accumulators = 24, prefetch_distance = 16> :
// CHECK: trec.embedding_group
// CHECK-SAME: lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, half = integer> :
func.func @rows(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>] rows !row bounds warning : !kjt, !dict
  %1 = trec.embedding_group %kjt into %0 [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, half = integer> : !kjt, !dict
  return %1 : !dict
}
