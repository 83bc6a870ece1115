// What the contract says of lookups, each case named by the label of its
// constraint. The ops are written in one line each so that cases compare easily.

// RUN: trec-opt --trec-verify-import-contract --split-input-file --verify-diagnostics %s

// trec-verify-import-contract C5: two uses.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a", "a"], [4, 4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    // expected-error @below {{'trec.pool' op expected one use of its result, got 2}}
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    // expected-note @below {{used here}}
    %out = trec.keyed_tensor %pooled, %pooled : (tensor<?x4xf32>, tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C5: no use.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-error @below {{'trec.check_bounds' op expected one use of its result, got 0}}
    %other = trec.check_bounds warning %ids in @t
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C6: ids that nobody checked.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-error @below {{'trec.lookup' op expected ids checked by trec.check_bounds against @t, got ids that are not checked}}
    %rows = trec.lookup @t[%ids] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C6: ids checked against another table.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.table @u : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-note @below {{checked here}}
    %checked = trec.check_bounds warning %ids in @u
    // expected-error @below {{'trec.lookup' op expected ids checked against @t, got ids checked against @u}}
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C7: ids checked twice.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-note @below {{checked here}}
    %once = trec.check_bounds warning %ids in @t
    // expected-error @below {{'trec.check_bounds' op expected ids of a trec.feature, got ids that were checked before}}
    %checked = trec.check_bounds warning %once in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C8: weighted twice.
!kjt = !trec.kjt<["a"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %weights = trec.sample_weights %kjt "a" : !kjt
    // expected-note @below {{weighted here}}
    %weighted = trec.weight %values by %weights : <!trec.dequantized<4>>
    // expected-error @below {{'trec.weight' op expected dequantized rows, got rows that are weighted already}}
    %twice = trec.weight %weighted by %weights : <!trec.dequantized<4>>
    %pooled = trec.pool sum %twice : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C8: another key's weights.
!kjt = !trec.kjt<["a", "b"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    // expected-note @below {{the ids are taken here}}
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %weights = trec.sample_weights %kjt "b" : !kjt
    // expected-error @below {{'trec.weight' op expected sample weights of key "a", got those of "b"}}
    %weighted = trec.weight %values by %weights : <!trec.dequantized<4>>
    %pooled = trec.pool sum %weighted : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C9: two policies.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a", "a"], [4, 4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    // expected-note @below {{the first check is here}}
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    // expected-error @below {{'trec.check_bounds' op expected policy 'warning', as all checks of a model, got 'fatal'}}
    %c1 = trec.check_bounds fatal %ids in @t
    %r1 = trec.lookup @t[%c1] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %v1 = trec.dequantize %r1 : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %p1 = trec.pool sum %v1 : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled, %p1 : (tensor<?x4xf32>, tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C10: a lookup without weights.
!kjt = !trec.kjt<["a"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  // expected-error @below {{'func.func' op expected rows weighted by the sample weights of batch 0, got none; declare the batch without weights}}
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C16: stored rows of another type.
!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["a"], [16], i8>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !dict {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    // expected-note @below {{looked up here}}
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    // expected-error @below {{'trec.stored_bytes' op is not compiled: expected rows of int8, got rows of fp32; dequantize them}}
    %bytes = trec.stored_bytes %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %out = trec.jagged_dict %bytes : (!trec.jagged<vector<16xi8>>) -> !dict
    return %out : !dict
  }
}
