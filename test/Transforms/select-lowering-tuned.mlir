// RUN: trec-opt %s --trec-select-lowering='cpu=x86-64-v3 tune-cache=%S/Inputs/tuned.json' --verify-diagnostics | FileCheck %s
// RUN: trec-opt %s --trec-select-lowering='cpu=x86-64-v2 tune-cache=%S/Inputs/tuned.json' 2>/dev/null | FileCheck %s --check-prefix=V2

// The arithmetic stays that of the level: the file has another for x86-64-v2.
// V2: lowering <vector_width = 4, accumulators = 8, prefetch_distance = 4, fma = library, half = integer

// A lowering that was measured takes the place of the cost model's, for the tables that it was measured for. What was
// not measured is named, and what is written in the module stays.
#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @small : !trec.table<1000x128, int8, #layout>
trec.table @large : !trec.table<?x128, int8, #layout>

// CHECK-LABEL: func.func @forward(
// CHECK: trec.embedding_bag_group sum {{.*}}@small
// CHECK-SAME: lowering <vector_width = 8, accumulators = 16, prefetch_distance = 4, certified = bias_once, stores = streaming, output_distance = 2>
// CHECK: trec.embedding_bag_group sum {{.*}}@large
// CHECK-SAME: lowering <vector_width = 8, accumulators = 8, prefetch_distance = 16, far_distance = 64, far_group = 0, certified = bias_once, stores = streaming, output_distance = 2>
// CHECK: trec.embedding_bag_group sum {{.*}}@small
// CHECK-SAME: lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, half = integer>
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@small, "f", 0>] rows !row bounds warning : !kjt, !keyed
  // expected-warning-re @below {{{{.*}}tuned.json has no entry for bag_sum_int8x128_align16_f32 (memory) on x86-64-v3: the cost model chooses}}
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@large, "f", 0>] rows !row bounds warning : !kjt, !keyed
  %2 = trec.embedding_bag_group sum %kjt into %1 [#trec.bag<@small, "f", 0>] rows !row bounds warning
    lowering <vector_width = 2, accumulators = 3, prefetch_distance = 0, half = integer> : !kjt, !keyed
  return %2 : !keyed
}
