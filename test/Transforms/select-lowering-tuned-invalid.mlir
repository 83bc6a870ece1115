// RUN: trec-opt %s --split-input-file --trec-select-lowering='cpu=x86-64-v4 tune-cache=%S/Inputs/tuned.json' --verify-diagnostics
// RUN: not trec-opt %s --trec-select-lowering='tune-cache=%S/Inputs/absent.json' 2>&1 | FileCheck %s --check-prefix=ABSENT

// trec-select-lowering C1: what else is wrong with a file is in TuningCacheTest.cpp.
// ABSENT: error: {{.*}}absent.json: No such file or directory
// trec-select-lowering C2: vectors that the level has not; codes that it cannot look up are in LoweringSpaceTest.cpp.
#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @small : !trec.table<1000x128, int8, #layout>

func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-error-re @below {{{{.*}}tuned.json: the lowering for bag_sum_int8x128_align16_f32 (level2) on x86-64-v4 does not fit: its vectors are wider than the 16 lanes of x86-64-v4}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@small, "f", 0>] rows !row bounds warning : !kjt, !keyed
  return %0 : !keyed
}
