// RUN: trec-opt %s --trec-fuse-dequantize | FileCheck %s

#layout = #trec.row_layout<header = f16, align = 16>
!ids = !trec.jagged<index>
!rows = !trec.jagged<!trec.row<16, int8, #layout>>
!values = !trec.jagged<!trec.dequantized<16>>

trec.table @t : !trec.table<1000x16, int8, #layout>
trec.table @u : !trec.table<1000x16, int8, #layout>

// The example of the pass.
// CHECK-LABEL: func.func @everything(
// CHECK-SAME: %[[IDS:.*]]: !trec.jagged<index>, %[[WEIGHTS:.*]]: !trec.jagged<f32>
// CHECK-NEXT: %[[HALF:.*]] = trec.embedding_bag sum @t[%[[IDS]]] weights %[[WEIGHTS]] bounds warning : tensor<?x16xf16>
// CHECK-NEXT: return %[[HALF]]
func.func @everything(%ids: !ids, %weights: !trec.jagged<f32>) -> tensor<?x16xf16> {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %weighted = trec.weight %values by %weights : !values
  %pooled = trec.pool sum %weighted : !values
  %half = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf16>
  return %half : tensor<?x16xf16>
}

// CHECK-LABEL: func.func @unweighted_mean(
// CHECK-NEXT: %[[POOLED:.*]] = trec.embedding_bag mean @t[%{{.*}}] bounds fatal : tensor<?x16xf32>
// CHECK-NEXT: return %[[POOLED]]
func.func @unweighted_mean(%ids: !ids) -> tensor<?x16xf32> {
  %checked = trec.check_bounds fatal %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %pooled = trec.pool mean %values : !values
  return %pooled : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @bfloat16(
// CHECK-NEXT: trec.embedding_bag sum @t[%{{.*}}] bounds ignore : tensor<?x16xbf16>
func.func @bfloat16(%ids: !ids) -> tensor<?x16xbf16> {
  %checked = trec.check_bounds ignore %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %pooled = trec.pool sum %values : !values
  %half = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xbf16>
  return %half : tensor<?x16xbf16>
}

// The pooled rows are used twice: the bag is fused, the cast is not.
// CHECK-LABEL: func.func @shared_pooled(
// CHECK-NEXT: %[[POOLED:.*]] = trec.embedding_bag sum @t[%{{.*}}] bounds warning : tensor<?x16xf32>
// CHECK-NEXT: %[[HALF:.*]] = trec.cast_output %[[POOLED]]
// CHECK-NEXT: return %[[POOLED]], %[[HALF]]
func.func @shared_pooled(%ids: !ids) -> (tensor<?x16xf32>, tensor<?x16xf16>) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %pooled = trec.pool sum %values : !values
  %half = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf16>
  return %pooled, %half : tensor<?x16xf32>, tensor<?x16xf16>
}

// One feature looked up in two tables: its ids are used twice, each check once.
// CHECK-LABEL: func.func @shared_ids(
// CHECK-SAME: %[[IDS:.*]]: !trec.jagged<index>
// CHECK-DAG: trec.embedding_bag sum @t[%[[IDS]]] bounds warning
// CHECK-DAG: trec.embedding_bag sum @u[%[[IDS]]] bounds warning
// CHECK-NOT: trec.check_bounds
// CHECK: return
func.func @shared_ids(%ids: !ids) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %checked0 = trec.check_bounds warning %ids in @t
  %rows0 = trec.lookup @t[%checked0] : !rows
  %values0 = trec.dequantize %rows0 : !rows
  %pooled0 = trec.pool sum %values0 : !values
  %checked1 = trec.check_bounds warning %ids in @u
  %rows1 = trec.lookup @u[%checked1] : !rows
  %values1 = trec.dequantize %rows1 : !rows
  %pooled1 = trec.pool sum %values1 : !values
  return %pooled0, %pooled1 : tensor<?x16xf32>, tensor<?x16xf32>
}

// What is used twice would be computed twice.
// CHECK-LABEL: func.func @shared_values(
// CHECK: trec.check_bounds
// CHECK: trec.lookup
// CHECK: trec.dequantize
// CHECK: trec.pool sum
// CHECK: trec.pool mean
func.func @shared_values(%ids: !ids) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %sum = trec.pool sum %values : !values
  %mean = trec.pool mean %values : !values
  return %sum, %mean : tensor<?x16xf32>, tensor<?x16xf32>
}

// CHECK-LABEL: func.func @shared_rows(
// CHECK-NOT: trec.embedding_bag
// CHECK: trec.pool
func.func @shared_rows(%ids: !ids) -> (tensor<?x16xf32>, !rows) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %pooled = trec.pool sum %values : !values
  return %pooled, %rows : tensor<?x16xf32>, !rows
}

// CHECK-LABEL: func.func @shared_check(
// CHECK-NOT: trec.embedding_bag
// CHECK: trec.pool
func.func @shared_check(%ids: !ids) -> (tensor<?x16xf32>, !ids) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %pooled = trec.pool sum %values : !values
  return %pooled, %checked : tensor<?x16xf32>, !ids
}

// A weighted row that is used twice.
// CHECK-LABEL: func.func @shared_weighted(
// CHECK-NOT: trec.embedding_bag
// CHECK: trec.weight
func.func @shared_weighted(%ids: !ids, %weights: !trec.jagged<f32>) -> (tensor<?x16xf32>, !values) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %weighted = trec.weight %values by %weights : !values
  %pooled = trec.pool sum %weighted : !values
  return %pooled, %weighted : tensor<?x16xf32>, !values
}

// Ids that were checked against another table, or not at all.
// CHECK-LABEL: func.func @other_check(
// CHECK-NOT: trec.embedding_bag
// CHECK: return
func.func @other_check(%ids: !ids) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %checked = trec.check_bounds warning %ids in @u
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %pooled = trec.pool sum %values : !values
  %unchecked_rows = trec.lookup @t[%ids] : !rows
  %unchecked_values = trec.dequantize %unchecked_rows : !rows
  %unchecked = trec.pool sum %unchecked_values : !values
  return %pooled, %unchecked : tensor<?x16xf32>, tensor<?x16xf32>
}
