// What the contract says of lookups with weights by position, with maps of pruned
// tables and without pooling, each case named by the label of its constraint.

// RUN: trec-opt --trec-verify-import-contract --split-input-file --verify-diagnostics %s

// trec-verify-import-contract C5: rows without pooling used twice.
!kjt = !trec.kjt<["a", "b"]>
!dict = !trec.jagged_dict<["a", "b"], [4, 4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !dict {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    // expected-error @below {{'trec.materialize' op expected one use of its result, got 2}}
    %floats = trec.materialize %values : <!trec.dequantized<4>> -> <vector<4xf32>>
    // expected-note @below {{used here}}
    %out = trec.jagged_dict %floats, %floats : (!trec.jagged<vector<4xf32>>, !trec.jagged<vector<4xf32>>) -> !dict
    return %out : !dict
  }
}

// -----

// trec-verify-import-contract C6: mapped ids that nobody checked.
!kjt = !trec.kjt<["a", "b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @m maps <array> : tensor<8xi32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.remap %ids by @m
    // expected-error @below {{'trec.lookup' op expected ids checked by trec.check_bounds against @m, got ids that are not checked}}
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C6: mapped ids that were checked against the table.
!kjt = !trec.kjt<["a", "b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @m maps <array> : tensor<8xi32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-note @below {{checked here}}
    %c = trec.check_bounds warning %ids in @t
    %checked = trec.remap %c by @m
    // expected-error @below {{'trec.lookup' op expected ids checked against @m, got ids checked against @t}}
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C6: ids that were checked against a map and not mapped.
!kjt = !trec.kjt<["a", "b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @m maps <array> : tensor<8xi32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-note @below {{checked here}}
    %checked = trec.check_bounds warning %ids in @m
    // expected-error @below {{'trec.lookup' op expected ids checked against @t, got ids checked against @m}}
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C6: ids that are mapped twice.
!kjt = !trec.kjt<["a", "b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @m maps <array> : tensor<8xi32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %c = trec.check_bounds warning %ids in @m
    %once = trec.remap %c by @m
    %checked = trec.remap %once by @m
    // expected-error @below {{'trec.lookup' op expected ids checked by trec.check_bounds against @m, got ids that are not checked}}
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C8: weights by the positions of another feature.
!kjt = !trec.kjt<["a", "b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @p : tensor<8xf32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %others = trec.feature %kjt "b" : !kjt
    // expected-note @below {{weights are made here}}
    %w = trec.position_weights %others from @p
    // expected-error @below {{'trec.weight' op expected weights by the positions of the ids that are looked up, got those of other ids}}
    %weighted = trec.weight %values by %w : <!trec.dequantized<4>>
    %pooled = trec.pool sum %weighted : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C10: weights by position in a weighted batch.
!kjt = !trec.kjt<["a"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @p : tensor<8xf32>
  // expected-error @below {{'func.func' op expected rows weighted by the sample weights of batch 0, got none; declare the batch without weights}}
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %w = trec.position_weights %ids from @p
    %weighted = trec.weight %values by %w : <!trec.dequantized<4>>
    %pooled = trec.pool sum %weighted : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C10: rows without pooling in a weighted batch.
!kjt = !trec.kjt<["a"], weighted>
!dict = !trec.jagged_dict<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  // expected-error @below {{'func.func' op expected rows weighted by the sample weights of batch 0, got none; declare the batch without weights}}
  func.func @forward(%kjt: !kjt) -> !dict {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %floats = trec.materialize %values : <!trec.dequantized<4>> -> <vector<4xf32>>
    %out = trec.jagged_dict %floats : (!trec.jagged<vector<4xf32>>) -> !dict
    return %out : !dict
  }
}

// -----

// trec-verify-import-contract C13: weighted rows without pooling.
!kjt = !trec.kjt<["a", "b"]>
!dict = !trec.jagged_dict<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.parameter @p : tensor<8xf32>
  func.func @forward(%kjt: !kjt) -> !dict {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %w = trec.position_weights %ids from @p
    // expected-note @below {{weighted here}}
    %weighted = trec.weight %values by %w : <!trec.dequantized<4>>
    // expected-error @below {{'trec.materialize' op expected rows without weights, got weighted rows; pool them}}
    %floats = trec.materialize %weighted : <!trec.dequantized<4>> -> <vector<4xf32>>
    %out = trec.jagged_dict %floats : (!trec.jagged<vector<4xf32>>) -> !dict
    return %out : !dict
  }
}
