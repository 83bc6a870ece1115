// RUN: trec-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @cast_to_same_type(
// CHECK-SAME: %[[POOLED:.*]]: tensor<?x16xf32>
func.func @cast_to_same_type(%pooled: tensor<?x16xf32>) -> tensor<?x16xf32> {
  // CHECK-NEXT: return %[[POOLED]]
  %0 = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @cast_to_other_type(
func.func @cast_to_other_type(%pooled: tensor<?x16xf32>) -> tensor<?x16xf16> {
  // CHECK-NEXT: %[[CAST:.*]] = trec.cast_output
  // CHECK-NEXT: return %[[CAST]]
  %0 = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf16>
  return %0 : tensor<?x16xf16>
}

trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>

// Ops without effect go; a check of bounds counts and stays.
// CHECK-LABEL: func.func @unused(
func.func @unused(%kjt: !trec.kjt<["a"]>) {
  // CHECK-NEXT: %[[IDS:.*]] = trec.feature
  %ids = trec.feature %kjt "a" : !trec.kjt<["a"]>
  // CHECK-NEXT: trec.check_bounds warning %[[IDS]] in @t
  %checked = trec.check_bounds warning %ids in @t
  // CHECK-NEXT: trec.embedding_bag sum @t[%[[IDS]]]
  %pooled = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x16xf32>
  // CHECK-NEXT: trec.embedding @t[%[[IDS]]]
  %rows = trec.embedding @t[%ids] bounds warning : !trec.jagged<vector<16xf32>>
  // CHECK-NEXT: return
  %looked_up = trec.lookup @t[%checked] : !trec.jagged<!trec.row<16, int8, #trec.row_layout<header = f16>>>
  %empty = trec.empty : !trec.keyed_tensor<["a"], [16], f32>
  return
}
