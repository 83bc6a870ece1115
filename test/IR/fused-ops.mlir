// RUN: trec-opt %s --verify-roundtrip | FileCheck %s

#layout = #trec.row_layout<header = f16, align = 16>
!ids = !trec.jagged<index>
!row = !trec.row<16, int8, #layout>
!kjt = !trec.kjt<["a", "b"], weighted>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!dict = !trec.jagged_dict<["x", "y"], [16, 16], f16>
!bytes = !trec.jagged_dict<["x"], [20], i8>
!kernel_rows = memref<?x32xi8>
!kernel_out = memref<?x16xf32, strided<[?, 1]>>

trec.table @t : !trec.table<1000x16, int8, #layout>
trec.table @u : !trec.table<?x16, int8, #layout>
trec.parameter @decay : tensor<100xf32>
trec.parameter @map maps <array> : tensor<5000xi32>

// CHECK-LABEL: func.func @embedding_bag(
func.func @embedding_bag(%ids: !ids, %weights: !trec.jagged<f32>) {
  // CHECK: trec.embedding_bag sum @t[%{{.*}}] bounds fatal : tensor<?x16xf32>
  %0 = trec.embedding_bag sum @t[%ids] bounds fatal : tensor<?x16xf32>
  // CHECK: trec.embedding_bag mean @t[%{{.*}}] bounds warning : tensor<?x16xf16>
  %1 = trec.embedding_bag mean @t[%ids] bounds warning : tensor<?x16xf16>
  // CHECK: trec.embedding_bag sum @u[%{{.*}}] weights %{{.*}} bounds ignore {tag} : tensor<?x16xbf16>
  %2 = trec.embedding_bag sum @u[%ids] weights %weights bounds ignore {tag} : tensor<?x16xbf16>
  // CHECK: trec.embedding_bag sum @u[%{{.*}}] position_weights @decay bounds none : tensor<?x16xf32>
  %3 = trec.embedding_bag sum @u[%ids] position_weights @decay bounds none : tensor<?x16xf32>
  // CHECK: trec.embedding_bag sum @u[%{{.*}}] weights %{{.*}} remap @map bounds warning : tensor<?x16xf32>
  %4 = trec.embedding_bag sum @u[%ids] weights %weights remap @map bounds warning : tensor<?x16xf32>
  // CHECK: trec.embedding_bag mean @u[%{{.*}}] position_weights @decay remap @map bounds warning : tensor<?x16xf32>
  %5 = trec.embedding_bag mean @u[%ids] position_weights @decay remap @map bounds warning : tensor<?x16xf32>
  return
}

// CHECK-LABEL: func.func @embedding(
func.func @embedding(%ids: !ids) {
  // CHECK: trec.embedding @t[%{{.*}}] bounds none : <vector<16xf32>>
  %0 = trec.embedding @t[%ids] bounds none : !trec.jagged<vector<16xf32>>
  // CHECK: trec.embedding @t[%{{.*}}] bounds warning {tag} : <vector<16xf16>>
  %1 = trec.embedding @t[%ids] bounds warning {tag} : !trec.jagged<vector<16xf16>>
  // CHECK: trec.embedding @u[%{{.*}}] remap @map bounds warning : <vector<16xbf16>>
  %2 = trec.embedding @u[%ids] remap @map bounds warning : !trec.jagged<vector<16xbf16>>
  // CHECK: trec.embedding @t[%{{.*}}] bounds warning : <vector<20xi8>>
  %3 = trec.embedding @t[%ids] bounds warning : !trec.jagged<vector<20xi8>>
  return
}

// CHECK-LABEL: func.func @embedding_bag_group(
func.func @embedding_bag_group(%kjt: !kjt) -> !keyed {
  // CHECK: %[[EMPTY:.*]] = trec.empty : !keyed
  %0 = trec.empty : !keyed
  // CHECK: trec.empty {tag} : !keyed
  %1 = trec.empty {tag} : !keyed
  // CHECK: trec.embedding_bag_group sum %{{.*}} into %[[EMPTY]] [#trec.bag<@t, "a", 0>]
  // CHECK-SAME: rows !trec.row<16, int8, #layout> bounds warning : !kjt, !keyed
  %2 = trec.embedding_bag_group sum %kjt into %0 [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !keyed
  // CHECK: trec.embedding_bag_group mean weighted %{{.*}} into %{{.*}} [#trec.bag<@t, "a", 0>, #trec.bag<@u, "b", 16>]
  // CHECK-SAME: bounds fatal lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0, fma = library> {tag} :
  %3 = trec.embedding_bag_group mean weighted %kjt into %2 [#trec.bag<@t, "a", 0>, #trec.bag<@u, "b", 16>]
    rows !row bounds fatal
    lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0, fma = library> {tag} : !kjt, !keyed
  // CHECK: trec.embedding_bag_group sum %{{.*}} into %{{.*}} [#trec.bag<@t, "a", 0, weights = @decay>, #trec.bag<@u, "b", 16, weights = @decay>]
  %4 = trec.embedding_bag_group sum %kjt into %3
    [#trec.bag<@t, "a", 0, weights = @decay>, #trec.bag<@u, "b", 16, weights = @decay>] rows !row bounds warning : !kjt, !keyed
  // CHECK: trec.embedding_bag_group sum weighted %{{.*}} into %{{.*}} [#trec.bag<@t, "a", 0, remap = @map>]
  %5 = trec.embedding_bag_group sum weighted %kjt into %4 [#trec.bag<@t, "a", 0, remap = @map>] rows !row bounds warning : !kjt, !keyed
  return %5 : !keyed
}

// CHECK-LABEL: func.func @embedding_group(
func.func @embedding_group(%kjt: !kjt) -> !dict {
  // CHECK: %[[EMPTY:.*]] = trec.empty : !dict
  %0 = trec.empty : !dict
  // CHECK: trec.embedding_group %{{.*}} into %[[EMPTY]] [#trec.bag<@t, "a", 0>]
  // CHECK-SAME: rows !trec.row<16, int8, #layout> bounds warning : !kjt, !dict
  %1 = trec.embedding_group %kjt into %0 [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !dict
  // CHECK: trec.embedding_group %{{.*}} into %{{.*}} [#trec.bag<@t, "a", 1, remap = @map>, #trec.bag<@u, "b", 0, remap = @map>]
  // CHECK-SAME: bounds none lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0> {tag} :
  %2 = trec.embedding_group %kjt into %1 [#trec.bag<@t, "a", 1, remap = @map>, #trec.bag<@u, "b", 0, remap = @map>]
    rows !row bounds none lowering <vector_width = 4, accumulators = 8, prefetch_distance = 0> {tag} : !kjt, !dict
  return %2 : !dict
}

// CHECK-LABEL: func.func @embedding_group_of_bytes(
func.func @embedding_group_of_bytes(%kjt: !kjt) -> !bytes {
  %0 = trec.empty : !bytes
  // CHECK: trec.embedding_group %{{.*}} into %{{.*}} [#trec.bag<@t, "a", 0>]
  %1 = trec.embedding_group %kjt into %0 [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !bytes
  return %1 : !bytes
}

func.func private @bag_i32(
  !kernel_rows, memref<?xi32>, memref<?xi64>, memref<?xf32>, !kernel_out, memref<2xi64>, memref<?xi32>, index, index, f32, index, index, index, index, index)
func.func private @bag_i64(
  !kernel_rows, memref<?xi64>, memref<?xi64>, memref<?xf32>, !kernel_out, memref<2xi64>, memref<?xi32>, index, index, f32, index, index, index, index, index)

// CHECK-LABEL: func.func @dispatch(
func.func @dispatch(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // CHECK: trec.dispatch @bag_i32, @bag_i64(%{{.*}}) into %{{.*}} [#trec.bag<@t, "b", 16>] bounds warning : !kjt, !keyed
  %0 = trec.dispatch @bag_i32, @bag_i64(%kjt) into %dest [#trec.bag<@t, "b", 16>] bounds warning : !kjt, !keyed
  // CHECK: trec.dispatch @bag_i32, @bag_i64(%{{.*}}) into %{{.*}} [#trec.bag<@t, "a", 0>] bounds none {tag} :
  %1 = trec.dispatch @bag_i32, @bag_i64(%kjt) into %0 [#trec.bag<@t, "a", 0>] bounds none {tag} : !kjt, !keyed
  // CHECK: trec.dispatch @bag_i32, @bag_i64(%{{.*}}) into %{{.*}} [#trec.bag<@t, "a", 0>] bounds none certified {tag} :
  %2 = trec.dispatch @bag_i32, @bag_i64(%kjt) into %1 [#trec.bag<@t, "a", 0>] bounds none certified {tag} : !kjt, !keyed
  return %2 : !keyed
}

// CHECK-LABEL: func.func @dispatch_rows(
func.func @dispatch_rows(%kjt: !kjt, %dest: !dict) -> !dict {
  // CHECK: trec.dispatch @bag_i32, @bag_i64(%{{.*}}) into %{{.*}} [#trec.bag<@t, "b", 1>] bounds warning : !kjt, !dict
  %0 = trec.dispatch @bag_i32, @bag_i64(%kjt) into %dest [#trec.bag<@t, "b", 1>] bounds warning : !kjt, !dict
  return %0 : !dict
}
