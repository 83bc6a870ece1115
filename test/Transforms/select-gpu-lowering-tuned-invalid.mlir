// RUN: trec-opt %s --trec-select-gpu-lowering='chips=sm_80 tune-cache=%S/Inputs/tuned-gpu.json' --verify-diagnostics
// RUN: not trec-opt %s --trec-select-gpu-lowering='tune-cache=%S/Inputs/absent.json' 2>&1 | FileCheck %s --check-prefix=ABSENT

// trec-select-gpu-lowering C1: what else is wrong with a file is in TuningCacheTest.cpp.
// ABSENT: error: {{.*}}absent.json: No such file or directory
// trec-select-gpu-lowering C2: more stages than shared memory holds.
#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @small : !trec.table<1000x128, int8, #layout>

func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-error-re @below {{{{.*}}tuned-gpu.json: the lowering for bag_sum_int8x128_align16_f32 does not fit: expected stages of at most 49152 bytes for a block, got 294912}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@small, "f", 0>] rows !row bounds warning : !kjt, !keyed
  return %0 : !keyed
}
