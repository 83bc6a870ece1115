// RUN: not trec-opt %s --trec-select-lowering=cpu=x86-64-v2 2>&1 | FileCheck %s --check-prefix=HALF
// RUN: not trec-opt %s --trec-select-lowering=cpu=x86-64-v3 2>&1 | FileCheck %s --check-prefix=V3 --implicit-check-not=half
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v4
// RUN: not trec-opt %s --trec-select-lowering=cpu=armv8-a 2>&1 | FileCheck %s --check-prefix=NEON --implicit-check-not=half
// RUN: not trec-opt %s --trec-select-lowering=cpu=sve-512 2>&1 | FileCheck %s --check-prefix=SVE --implicit-check-not=half

// A lowering that was written by hand is one that the CPU has instructions for.
#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int2, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int2, #layout>

// HALF: error: 'trec.embedding_bag_group' op expected half = integer for x86-64-v2, which does not convert half floats, got hardware
// V3: error: 'trec.embedding_bag_group' op expected unpack = convert for vectors of 16 lanes, which x86-64-v3 does not permute, got lookup
// NEON: error: 'trec.embedding_bag_group' op expected unpack = convert for vectors of 16 lanes, which armv8-a does not permute, got lookup
// SVE: error: 'trec.embedding_bag_group' op expected unpack = convert for vectors of 16 lanes, which sve-512 does not permute, got lookup
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 8> : !kjt, !keyed
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 8, unpack = lookup> : !kjt, !keyed
  return %1 : !keyed
}
