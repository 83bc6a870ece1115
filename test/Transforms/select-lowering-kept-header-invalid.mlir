// RUN: not trec-opt %s --trec-select-lowering=cpu=x86-64-v3 2>&1 | FileCheck %s --check-prefix=V3
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v4
// RUN: not trec-opt %s --trec-select-lowering=cpu=sve-512 2>&1 | FileCheck %s --check-prefix=SVE

// A header that was to go by memory goes into vectors that the level has, by code for x86-64.
#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>

// V3: error: 'trec.embedding_bag_group' op expected header = registers for vectors of 16 lanes, which x86-64-v3 does not load a number into, got memory
// SVE: error: 'trec.embedding_bag_group' op expected header = registers for vectors of 16 lanes, which sve-512 does not load a number into, got memory
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !row bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 8, header = memory> : !kjt, !keyed
  return %0 : !keyed
}
