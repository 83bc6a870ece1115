// RUN: trec-opt %s --trec-fuse-position-weights | FileCheck %s

#layout = #trec.row_layout<header = f16>
!ids = !trec.jagged<index>
trec.table @t : !trec.table<1000x16, int8, #layout>
trec.table @u : !trec.table<1000x16, int8, #layout>
trec.parameter @p : tensor<100xf32>
trec.parameter @m maps <array> : tensor<5000xi32>

// The example of the pass.
// CHECK-LABEL: func.func @fused(
// CHECK-SAME: %[[IDS:.*]]: !trec.jagged<index>
// CHECK-NEXT: %[[POOLED:.*]] = trec.embedding_bag sum @t[%[[IDS]]] position_weights @p bounds warning : tensor<?x16xf16>
// CHECK-NEXT: return %[[POOLED]]
func.func @fused(%ids: !ids) -> tensor<?x16xf16> {
  %weights = trec.position_weights %ids from @p
  %pooled = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : tensor<?x16xf16>
  return %pooled : tensor<?x16xf16>
}

// Both lookups of a feature, one of them in a pruned table.
// CHECK-LABEL: func.func @shared(
// CHECK-NEXT: trec.embedding_bag sum @t[%{{.*}}] position_weights @p bounds warning
// CHECK-NEXT: trec.embedding_bag mean @u[%{{.*}}] position_weights @p remap @m bounds warning
// CHECK-NEXT: return
func.func @shared(%ids: !ids) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %weights = trec.position_weights %ids from @p
  %0 = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : tensor<?x16xf32>
  %1 = trec.embedding_bag mean @u[%ids] weights %weights remap @m bounds warning : tensor<?x16xf32>
  return %0, %1 : tensor<?x16xf32>, tensor<?x16xf32>
}

// Weights that are used elsewhere too stay.
// CHECK-LABEL: func.func @used(
// CHECK-NEXT: %[[WEIGHTS:.*]] = trec.position_weights
// CHECK-NEXT: trec.embedding_bag sum @t[%{{.*}}] position_weights @p bounds warning
// CHECK-NEXT: return %{{.*}}, %[[WEIGHTS]]
func.func @used(%ids: !ids) -> (tensor<?x16xf32>, !trec.jagged<f32>) {
  %weights = trec.position_weights %ids from @p
  %pooled = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : tensor<?x16xf32>
  return %pooled, %weights : tensor<?x16xf32>, !trec.jagged<f32>
}

// Weights of other ids, of the batch, and none.
// CHECK-LABEL: func.func @not_fused(
// CHECK-NEXT: %[[OTHERS:.*]] = trec.position_weights
// CHECK-NEXT: trec.embedding_bag sum @t[%{{.*}}] weights %[[OTHERS]] bounds warning
// CHECK-NEXT: trec.embedding_bag sum @t[%{{.*}}] weights %{{.*}} bounds warning
// CHECK-NEXT: trec.embedding_bag sum @t[%{{.*}}] bounds warning
func.func @not_fused(%ids: !ids, %others: !ids, %sample: !trec.jagged<f32>)
    -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>) {
  %weights = trec.position_weights %others from @p
  %0 = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : tensor<?x16xf32>
  %1 = trec.embedding_bag sum @t[%ids] weights %sample bounds warning : tensor<?x16xf32>
  %2 = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x16xf32>
  return %0, %1, %2 : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
}
