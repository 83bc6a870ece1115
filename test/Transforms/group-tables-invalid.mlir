// RUN: trec-opt %s --trec-group-tables --split-input-file --verify-diagnostics

!keyed = !trec.keyed_tensor<["a"], [8], f32>
func.func @no_lookup(%pooled: tensor<?x8xf32>) -> !keyed {
  // expected-error @below {{expected operands made by a trec.embedding_bag of a feature, used once}}
  %out = trec.keyed_tensor %pooled : (tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

!keyed = !trec.keyed_tensor<["a"], [8], f32>
func.func @not_fused(%values: !trec.jagged<!trec.dequantized<8>>) -> !keyed {
  // expected-note @below {{this operand is not}}
  %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<8>>
  // expected-error @below {{expected operands made by a trec.embedding_bag of a feature, used once}}
  %out = trec.keyed_tensor %pooled : (tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

!keyed = !trec.keyed_tensor<["a"], [8], f32>
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
func.func @no_feature(%ids: !trec.jagged<index>) -> !keyed {
  // expected-note @below {{this operand is not}}
  %pooled = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x8xf32>
  // expected-error @below {{expected operands made by a trec.embedding_bag of a feature, used once}}
  %out = trec.keyed_tensor %pooled : (tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

!keyed = !trec.keyed_tensor<["a", "b"], [8, 8], f32>
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
func.func @used_twice(%kjt: !trec.kjt<["f"]>) -> !keyed {
  %ids = trec.feature %kjt "f" : !trec.kjt<["f"]>
  // expected-note @below {{this operand is not}}
  %pooled = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x8xf32>
  // expected-error @below {{expected operands made by a trec.embedding_bag of a feature, used once}}
  %out = trec.keyed_tensor %pooled, %pooled : (tensor<?x8xf32>, tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

!kjt = !trec.kjt<["f", "g"], weighted>
!keyed = !trec.keyed_tensor<["a"], [8], f32>
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
func.func @other_weights(%kjt: !kjt) -> !keyed {
  %ids = trec.feature %kjt "f" : !kjt
  %weights = trec.sample_weights %kjt "g" : !kjt
  // expected-error @below {{expected the sample weights of its feature, "f"}}
  %pooled = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : tensor<?x8xf32>
  %out = trec.keyed_tensor %pooled : (tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["a"], [8], f32>
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
trec.parameter @decay : tensor<10xf32>
func.func @position_weights(%kjt: !kjt) -> !keyed {
  %ids = trec.feature %kjt "f" : !kjt
  %weights = trec.position_weights %ids from @decay
  // expected-error @below {{expected the sample weights of its feature, "f"}}
  %pooled = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : tensor<?x8xf32>
  %out = trec.keyed_tensor %pooled : (tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

!dict = !trec.jagged_dict<["a"], [8], f32>
func.func @not_fused_rows(%values: !trec.jagged<!trec.dequantized<8>>) -> !dict {
  // expected-note @below {{this operand is not}}
  %rows = trec.materialize %values : !trec.jagged<!trec.dequantized<8>> -> !trec.jagged<vector<8xf32>>
  // expected-error @below {{expected operands made by a trec.embedding of a feature, used once}}
  %out = trec.jagged_dict %rows : (!trec.jagged<vector<8xf32>>) -> !dict
  return %out : !dict
}

// -----

!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["a", "b"], [8, 8], f32>
!rows = !trec.jagged<vector<8xf32>>
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
func.func @rows_used_twice(%kjt: !kjt) -> !dict {
  %ids = trec.feature %kjt "f" : !kjt
  // expected-note @below {{this operand is not}}
  %rows = trec.embedding @t[%ids] bounds warning : !rows
  // expected-error @below {{expected operands made by a trec.embedding of a feature, used once}}
  %out = trec.jagged_dict %rows, %rows : (!rows, !rows) -> !dict
  return %out : !dict
}

// -----

!keyed = !trec.keyed_tensor<["a"], [8], f32>
!groups = !trec.tensor_dict<["x"], [8], f32>
func.func @no_keyed_tensor(%keyed: !keyed) -> !groups {
  // expected-error @below {{expected operands made by a trec.keyed_tensor, used once}}
  %out = trec.regroup %keyed [["a"]] : (!keyed) -> !groups
  return %out : !groups
}

// -----

!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["a", "b"], [8, 8], f32>
!groups = !trec.tensor_dict<["x"], [8], f32>
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
func.func @ungrouped_key(%kjt: !kjt) -> !groups {
  %ids = trec.feature %kjt "f" : !kjt
  %a = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x8xf32>
  %b = trec.embedding_bag mean @t[%ids] bounds warning : tensor<?x8xf32>
  %keyed = trec.keyed_tensor %a, %b : (tensor<?x8xf32>, tensor<?x8xf32>) -> !keyed
  // expected-error @below {{expected key "b" in a group, got it in none}}
  %out = trec.regroup %keyed [["a"]] : (!keyed) -> !groups
  return %out : !groups
}
