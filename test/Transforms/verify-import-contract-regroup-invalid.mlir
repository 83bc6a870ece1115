// RUN: trec-opt %s --trec-verify-import-contract --split-input-file --verify-diagnostics

// What the contract says of a regroup, each case named by the label of its constraint.

// trec-verify-import-contract C14: a key in no group.
!kjt = !trec.kjt<["a"]>
!kjt1 = !trec.kjt<["b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
!keyed1 = !trec.keyed_tensor<["b"], [4], f32>
!groups = !trec.tensor_dict<["x"], [4], f32>
!row = !trec.row<4, fp32, #trec.row_layout<header = none>>
module attributes {trec.contract = 1 : i32} {
  trec.table @s : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
    %aids = trec.feature %kjt "a" : !kjt
    %achecked = trec.check_bounds warning %aids in @s
    %arows = trec.lookup @s[%achecked] : <!row>
    %avalues = trec.dequantize %arows : <!row>
    %a = trec.pool sum %avalues : <!trec.dequantized<4>>
    %bids = trec.feature %kjt1 "b" : !kjt1
    %bchecked = trec.check_bounds warning %bids in @t
    %brows = trec.lookup @t[%bchecked] : <!row>
    %bvalues = trec.dequantize %brows : <!row>
    %b = trec.pool sum %bvalues : <!trec.dequantized<4>>
    %keyed = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !keyed
    %keyed1 = trec.keyed_tensor %b : (tensor<?x4xf32>) -> !keyed1
    // expected-error @below {{'trec.regroup' op expected key "b" in a group, got it in none; add it to one, or remove its lookup}}
    %out = trec.regroup %keyed, %keyed1 [["a"]] : (!keyed, !keyed1) -> !groups
    return %out : !groups
  }
}

// -----

// trec-verify-import-contract C15: a batch without lookups.
!kjt = !trec.kjt<["a"]>
!kjt1 = !trec.kjt<["b"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
!keyed1 = !trec.keyed_tensor<["b"], [4], f32>
!groups = !trec.tensor_dict<["x", "y"], [4, 4], f32>
!row = !trec.row<4, fp32, #trec.row_layout<header = none>>
module attributes {trec.contract = 1 : i32} {
  trec.table @s : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  // expected-error @below {{'func.func' op expected a lookup of ids of batch 1, got none; remove the argument}}
  func.func @forward(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
    %aids = trec.feature %kjt "a" : !kjt
    %achecked = trec.check_bounds warning %aids in @s
    %arows = trec.lookup @s[%achecked] : <!row>
    %avalues = trec.dequantize %arows : <!row>
    %a = trec.pool sum %avalues : <!trec.dequantized<4>>
    %bids = trec.feature %kjt "a" : !kjt
    %bchecked = trec.check_bounds warning %bids in @t
    %brows = trec.lookup @t[%bchecked] : <!row>
    %bvalues = trec.dequantize %brows : <!row>
    %b = trec.pool sum %bvalues : <!trec.dequantized<4>>
    %keyed = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !keyed
    %keyed1 = trec.keyed_tensor %b : (tensor<?x4xf32>) -> !keyed1
    %out = trec.regroup %keyed, %keyed1 [["a"], ["b"]] : (!keyed, !keyed1) -> !groups
    return %out : !groups
  }
}

// -----

// trec-verify-import-contract C10: the weights of the second batch weight nothing.
!kjt = !trec.kjt<["a"]>
!kjt1 = !trec.kjt<["b"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
!keyed1 = !trec.keyed_tensor<["b"], [4], f32>
!groups = !trec.tensor_dict<["x", "y"], [4, 4], f32>
!row = !trec.row<4, fp32, #trec.row_layout<header = none>>
module attributes {trec.contract = 1 : i32} {
  trec.table @s : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  // expected-error @below {{'func.func' op expected rows weighted by the sample weights of batch 1, got none; declare the batch without weights}}
  func.func @forward(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
    %aids = trec.feature %kjt "a" : !kjt
    %achecked = trec.check_bounds warning %aids in @s
    %arows = trec.lookup @s[%achecked] : <!row>
    %avalues = trec.dequantize %arows : <!row>
    %a = trec.pool sum %avalues : <!trec.dequantized<4>>
    %bids = trec.feature %kjt1 "b" : !kjt1
    %bchecked = trec.check_bounds warning %bids in @t
    %brows = trec.lookup @t[%bchecked] : <!row>
    %bvalues = trec.dequantize %brows : <!row>
    %b = trec.pool sum %bvalues : <!trec.dequantized<4>>
    %keyed = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !keyed
    %keyed1 = trec.keyed_tensor %b : (tensor<?x4xf32>) -> !keyed1
    %out = trec.regroup %keyed, %keyed1 [["a"], ["b"]] : (!keyed, !keyed1) -> !groups
    return %out : !groups
  }
}

// -----

// trec-verify-import-contract C8: sample weights of another batch.
!kjt = !trec.kjt<["a"]>
!kjt1 = !trec.kjt<["b"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
!keyed1 = !trec.keyed_tensor<["b"], [4], f32>
!groups = !trec.tensor_dict<["x", "y"], [4, 4], f32>
!row = !trec.row<4, fp32, #trec.row_layout<header = none>>
module attributes {trec.contract = 1 : i32} {
  trec.table @s : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt, %kjt1: !kjt1, %kjt2: !kjt1) -> !groups {
    %aids = trec.feature %kjt "a" : !kjt
    %achecked = trec.check_bounds warning %aids in @s
    %arows = trec.lookup @s[%achecked] : <!row>
    %avalues = trec.dequantize %arows : <!row>
    %a = trec.pool sum %avalues : <!trec.dequantized<4>>
    // expected-note @below {{the ids are taken here}}
    %bids = trec.feature %kjt1 "b" : !kjt1
    %bchecked = trec.check_bounds warning %bids in @t
    %brows = trec.lookup @t[%bchecked] : <!row>
    %bvalues = trec.dequantize %brows : <!row>
    %w = trec.sample_weights %kjt2 "b" : !kjt1
    // expected-error @below {{'trec.weight' op expected sample weights of key "b", got those of "b" of another batch}}
    %bweighted = trec.weight %bvalues by %w : <!trec.dequantized<4>>
    %b = trec.pool sum %bweighted : <!trec.dequantized<4>>
    %keyed = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !keyed
    %keyed1 = trec.keyed_tensor %b : (tensor<?x4xf32>) -> !keyed1
    %out = trec.regroup %keyed, %keyed1 [["a"], ["b"]] : (!keyed, !keyed1) -> !groups
    return %out : !groups
  }
}

// -----

// trec-verify-import-contract C17: one key of a batch with a length and without one.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [4, 4], f32>
!row = !trec.row<4, fp32, #trec.row_layout<header = none>>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    // expected-note @below {{the key is taken first here}}
    %ids = trec.feature %kjt "a" length 3 : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!row>
    %values = trec.dequantize %rows : <!row>
    %x = trec.pool sum %values : <!trec.dequantized<4>>
    // expected-error @below {{'trec.feature' op expected length 3 of key "a", got no length}}
    %ids1 = trec.feature %kjt "a" : !kjt
    %checked1 = trec.check_bounds warning %ids1 in @t
    %rows1 = trec.lookup @t[%checked1] : <!row>
    %values1 = trec.dequantize %rows1 : <!row>
    %y = trec.pool sum %values1 : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %x, %y : (tensor<?x4xf32>, tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// trec-verify-import-contract C17: two lengths; another batch may have its own.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
!keyed1 = !trec.keyed_tensor<["a1", "a2"], [4, 4], f32>
!groups = !trec.tensor_dict<["x"], [12], f32>
!row = !trec.row<4, fp32, #trec.row_layout<header = none>>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt, %kjt1: !kjt) -> !groups {
    %ids = trec.feature %kjt "a" length 3 : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!row>
    %values = trec.dequantize %rows : <!row>
    %a = trec.pool sum %values : <!trec.dequantized<4>>
    // expected-note @below {{the key is taken first here}}
    %ids1 = trec.feature %kjt1 "a" length 4 : !kjt
    %checked1 = trec.check_bounds warning %ids1 in @t
    %rows1 = trec.lookup @t[%checked1] : <!row>
    %values1 = trec.dequantize %rows1 : <!row>
    %a1 = trec.pool sum %values1 : <!trec.dequantized<4>>
    // expected-error @below {{'trec.feature' op expected length 4 of key "a", got length 5}}
    %ids2 = trec.feature %kjt1 "a" length 5 : !kjt
    %checked2 = trec.check_bounds warning %ids2 in @t
    %rows2 = trec.lookup @t[%checked2] : <!row>
    %values2 = trec.dequantize %rows2 : <!row>
    %a2 = trec.pool sum %values2 : <!trec.dequantized<4>>
    %keyed = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !keyed
    %keyed1 = trec.keyed_tensor %a1, %a2 : (tensor<?x4xf32>, tensor<?x4xf32>) -> !keyed1
    %out = trec.regroup %keyed, %keyed1 [["a", "a1", "a2"]] : (!keyed, !keyed1) -> !groups
    return %out : !groups
  }
}
