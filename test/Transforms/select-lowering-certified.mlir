// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v4 | FileCheck %s --check-prefixes=CHECK,V4
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-512 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: trec-opt %s --trec-select-lowering="cpu=x86-64-v4 numerics=relaxed" | FileCheck %s --check-prefixes=RELAXED

// Which arithmetic certified bags get: pairs of rows where the CPU permutes 16 lanes.

#layout = #trec.row_layout<header = f16>
#floats = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
!dict = !trec.jagged_dict<["f"], [64], f32>
trec.table @t8 : !trec.table<1000x64, int8, #layout>
trec.table @t4 : !trec.table<1000x64, int4, #layout>
trec.table @t2 : !trec.table<1000x64, int2, #layout>
trec.table @t16 : !trec.table<1000x64, fp16, #floats>

// CHECK-LABEL: func.func @forward(
// CHECK: rows !trec.row<64, int8
// CHECK-SAME: certified = bias_once
// CHECK-NOT: numerics
// CHECK: rows !trec.row<64, int4
// CHECK-SAME: certified = bias_once
// CHECK: rows !trec.row<64, int2
// V2-SAME: certified = bias_once
// V3-SAME: certified = bias_once
// V4-SAME: certified = row_pairs
// Floats and weighted rows have no such bags.
// CHECK: rows !trec.row<64, fp16
// CHECK-NOT: certified
// CHECK: weighted %{{.*}} rows !trec.row<64, int8
// CHECK-NOT: certified
// CHECK: return

// RELAXED: rows !trec.row<64, int8
// RELAXED-SAME: certified = bias_once, numerics = relaxed
// RELAXED: rows !trec.row<64, int4
// RELAXED-SAME: certified = bias_once, numerics = relaxed
// RELAXED: rows !trec.row<64, int2
// RELAXED-SAME: certified = row_pairs, numerics = relaxed
// RELAXED: rows !trec.row<64, fp16
// RELAXED-NOT: numerics
// RELAXED: weighted %{{.*}} rows !trec.row<64, int8
// RELAXED-SAME: certified = bias_once, numerics = relaxed
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t8, "f", 0>] rows !trec.row<64, int8, #layout> bounds warning : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t4, "f", 0>] rows !trec.row<64, int4, #layout> bounds warning : !kjt, !keyed
  %2 = trec.embedding_bag_group sum %kjt into %1 [#trec.bag<@t2, "f", 0>] rows !trec.row<64, int2, #layout> bounds warning : !kjt, !keyed
  %3 = trec.embedding_bag_group sum %kjt into %2 [#trec.bag<@t16, "f", 0>] rows !trec.row<64, fp16, #floats> bounds warning : !kjt, !keyed
  %4 = trec.embedding_bag_group sum weighted %kjt into %3 [#trec.bag<@t8, "f", 0>] rows !trec.row<64, int8, #layout> bounds warning : !kjt, !keyed
  return %4 : !keyed
}

// Nor have rows that are not pooled.
// CHECK-LABEL: func.func @rows(
// CHECK-NOT: certified
// RELAXED-LABEL: func.func @rows(
// RELAXED-NOT: certified
func.func @rows(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t8, "f", 0>] rows !trec.row<64, int8, #layout> bounds warning : !kjt, !dict
  return %0 : !dict
}
