// RUN: trec-opt %s --trec-select-gpu-lowering='chips=sm_90 tune-cache=%S/Inputs/tuned-gpu.json' --verify-diagnostics | FileCheck %s
// RUN: trec-opt %s --trec-select-gpu-lowering='chips=sm_90 tune-cache=%S/Inputs/tuned.json' 2>&1 | FileCheck %s --check-prefix=CPU

// A cache that has entries of CPUs alone is not missed for GPUs.
// CPU-NOT: warning:
// CPU: gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, few_lanes = 32

// A schedule that was measured takes the place of the cost model's, for the tables that it was measured for; whose bits
// are computed stays. What was not measured is named, and what is written in the module stays.
#layout = #trec.row_layout<header = f16, align = 16>
!row = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @small : !trec.table<1000x128, int8, #layout>
trec.table @large : !trec.table<?x128, int8, #layout>

// CHECK-LABEL: func.func @forward(
// CHECK: trec.embedding_bag_group sum {{.*}}@small
// CHECK-SAME: gpu_lowering <lanes = 8, units_per_lane = 4, rows_in_flight = 3>
// CHECK: trec.embedding_bag_group sum {{.*}}@large
// CHECK-SAME: gpu_lowering <lanes = 16, units_per_lane = 2, rows_in_flight = 4, few_lanes = 32
// CHECK: trec.embedding_bag_group sum {{.*}}@small
// CHECK-SAME: gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 1>
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@small, "f", 0>] rows !row bounds warning : !kjt, !keyed
  // expected-warning-re @below {{{{.*}}tuned-gpu.json has no entry for bag_sum_int8x128_align16_f32 (memory) on sm_90: the cost model chooses}}
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@large, "f", 0>] rows !row bounds warning : !kjt, !keyed
  %2 = trec.embedding_bag_group sum %kjt into %1 [#trec.bag<@small, "f", 0>] rows !row bounds warning
    gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 1> : !kjt, !keyed
  return %2 : !keyed
}
