// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64-v4 | FileCheck %s --check-prefixes=CHECK,V4
// RUN: trec-opt %s --trec-select-lowering=cpu=armv8-a | FileCheck %s --check-prefixes=CHECK,ARM
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-256 | FileCheck %s --check-prefixes=CHECK,ARM
// RUN: trec-opt %s --trec-select-lowering=cpu=sve-512 | FileCheck %s --check-prefixes=CHECK,SVE512

// What the tables and the rows decide.
#layout = #trec.row_layout<header = f16, align = 16>
!short = !trec.row<32, int4, #layout>
!packed = !trec.row<128, int2, #layout>
!long = !trec.row<128, int8, #layout>
!kjt = !trec.kjt<["f", "g", "h", "i", "j"]>
!keyed = !trec.keyed_tensor<["f", "g", "h", "i", "j"], [32, 128, 128, 32, 32], f32>
trec.parameter @hashed maps <hash_table, ids = 200000> : tensor<262144x2xi32>
trec.parameter @sorted maps <sorted> : tensor<100000x2xi64>
trec.table @large_short : !trec.table<1000000x32, int4, #layout>
trec.table @medium_short : !trec.table<100000x32, int4, #layout>
trec.table @unknown : !trec.table<?x128, int2, #layout>
trec.table @large_long : !trec.table<100000x128, int8, #layout>
trec.table @small_short : !trec.table<1000x32, int4, #layout>

// Rows of large tables are fetched in two steps, long ones as the machine likes; a number of rows that is not known may
// be large. Codes are looked up where the CPU permutes as many lanes.
// CHECK: trec.embedding_bag_group sum {{.*}} rows !trec.row<32, int4
// V2-SAME: prefetch_distance = 16, far_distance = 64, fma
// V3-SAME: prefetch_distance = 16, far_distance = 64, certified
// ARM-SAME: prefetch_distance = 16, far_distance = 64, certified
// SVE512-SAME: prefetch_distance = 16, far_distance = 64, rows_at_once = 4, certified
// V4-SAME: prefetch_distance = 16, far_distance = 64, rows_at_once = 4, unpack = lookup, header = memory, certified
// CHECK: trec.embedding_bag_group sum {{.*}} rows !trec.row<128, int2
// V2-SAME: prefetch_distance = 16, far_distance = 64, fma
// V3-SAME: prefetch_distance = 16, far_distance = 64, unpack = lookup, certified
// ARM-SAME: prefetch_distance = 16, far_distance = 64, certified
// SVE512-SAME: prefetch_distance = 16, far_distance = 64, certified
// V4-SAME: prefetch_distance = 16, far_distance = 64, unpack = lookup, header = memory, certified
// CHECK: trec.embedding_bag_group sum {{.*}} rows !trec.row<128, int8
// CHECK-SAME: prefetch_distance = 16, far_distance = 64, far_group = 0
// A table that the second level holds needs one step alone, farther ahead for rows of one line.
// CHECK: trec.embedding_bag_group mean {{.*}} rows !trec.row<32, int4
// CHECK-SAME: prefetch_distance = 32
// CHECK-NOT: far_distance
// One that some CPU's second level may hold has two, for the runtime to choose.
// CHECK: trec.embedding_bag_group mean {{.*}} rows !trec.row<32, int4
// CHECK-SAME: prefetch_distance = 32, far_distance = 64
// An id that is searched for is searched for again by each fetch.
// CHECK: trec.embedding_bag_group mean {{.*}} rows !trec.row<128, int8
// CHECK-SAME: prefetch_distance = 16
// CHECK-NOT: far_distance
// CHECK: trec.embedding_bag_group sum {{.*}} rows !trec.row<128, int8
// CHECK-SAME: prefetch_distance = 8
// CHECK-NOT: far_distance
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@large_short, "f", 0>] rows !short bounds warning : !kjt, !keyed
  %1 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@unknown, "g", 32>] rows !packed bounds warning : !kjt, !keyed
  %2 = trec.embedding_bag_group sum %kjt into %1 [#trec.bag<@large_long, "h", 160>] rows !long bounds warning : !kjt, !keyed
  %3 = trec.embedding_bag_group mean %kjt into %2 [#trec.bag<@small_short, "i", 288>] rows !short bounds warning : !kjt, !keyed
  %m = trec.embedding_bag_group mean %kjt into %3 [#trec.bag<@medium_short, "j", 320>] rows !short bounds warning : !kjt, !keyed
  %4 = trec.embedding_bag_group mean %kjt into %m [#trec.bag<@large_long, "h", 160, remap = @hashed>] rows !long bounds warning : !kjt, !keyed
  %5 = trec.embedding_bag_group sum %kjt into %4 [#trec.bag<@large_long, "h", 160, remap = @sorted>] rows !long bounds warning : !kjt, !keyed
  return %5 : !keyed
}
