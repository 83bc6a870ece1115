// What the contract says of a module and of single ops, each case named by the
// label of its constraint. Lookups are in verify-import-contract-lookups-invalid.mlir.

// RUN: trec-opt --trec-verify-import-contract --split-input-file --verify-diagnostics %s

// C1: no contract.
// expected-error @below {{'builtin.module' op expected trec.contract = 1 : i32, got none; only an imported model can be compiled}}
module {
}

// -----

// C1: another version.
// expected-error @below {{'builtin.module' op expected trec.contract = 1 : i32, got 2 : i32; import the model with the tools of this version of trec}}
module attributes {trec.contract = 2 : i32} {
}

// -----

// C2: no function.
// expected-error @below {{'builtin.module' op expected a function @forward, got none}}
module attributes {trec.contract = 1 : i32} {
}

// -----

// C2: a second function.
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'func.func' op is not compiled: expected one function @forward, got @backward}}
  func.func private @backward()
}

// -----

// C2: something else.
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'builtin.module' op is not compiled: expected trec.table and trec.parameter ops and one function}}
  module {
  }
}

// -----

// C3: another signature.
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'func.func' op expected one !trec.kjt argument and one !trec.keyed_tensor or !trec.jagged_dict result, or at most 16 !trec.kjt arguments and one !trec.tensor_dict result, got '(i32) -> i32'}}
  func.func @forward(%i: i32) -> i32 {
    return %i : i32
  }
}

// -----

// C3: two batches for a KeyedTensor.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'func.func' op expected one !trec.kjt argument}}
  func.func private @forward(!kjt, !kjt) -> !keyed
}

// -----

// C3: more batches than a forward takes.
!k = !trec.kjt<["a"]>
!groups = !trec.tensor_dict<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{or at most 16 !trec.kjt arguments}}
  func.func private @forward(!k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k, !k) -> !groups
}

// -----

// C3: no body.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'func.func' op expected a body of one block, got 0 blocks}}
  func.func private @forward(!kjt) -> !keyed
}

// -----

// C4: the compiler's own ops.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  func.func @forward(%kjt: !kjt) -> !keyed {
    // expected-error @below {{'trec.empty' op is not compiled: it is made by the compiler itself; write the ops that it stands for}}
    %empty = trec.empty : !keyed
    return %empty : !keyed
  }
}

// -----

// C4: the compiler's own ops, without pooling.
!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  func.func @forward(%kjt: !kjt) -> !dict {
    // expected-error @below {{'trec.empty' op is not compiled: it is made by the compiler itself; write the ops that it stands for}}
    %empty = trec.empty : !dict
    return %empty : !dict
  }
}

// -----

// C4: an op of another dialect.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  func.func @forward(%kjt: !kjt) -> !keyed {
    // expected-error @below {{'arith.constant' op is not compiled: it is no op of the import layer; remove it}}
    %c0 = arith.constant 0 : i32
    %empty = trec.empty : !keyed
    return %empty : !keyed
  }
}

// -----

// C11: a table without a lookup.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'trec.table' op expected a lookup of the table, got none; remove the table}}
  trec.table @u : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
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

// C11: a parameter without a use.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'trec.parameter' op expected a use of the parameter, got none; remove the parameter}}
  trec.parameter @p : tensor<8xf32>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
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

// C12: NUL in the name of a table.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'trec.table' op expected a name of a table without NUL, got "t\00"}}
  trec.table @"t\00" : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @"t\00"
    %rows = trec.lookup @"t\00"[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// C12: NUL in a feature.
!kjt = !trec.kjt<["a\00"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  // expected-error @below {{'func.func' op expected a name of a feature without NUL, got "a\00"}}
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a\00" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}

// -----

// C12: NUL in a key.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a\00"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  // expected-error @below {{'func.func' op expected a name of a key without NUL, got "a\00"}}
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

// C12: NUL in a parameter.
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a"], [4], f32>
module attributes {trec.contract = 1 : i32} {
  // expected-error @below {{'trec.parameter' op expected a name of a parameter without NUL, got "p\00"}}
  trec.parameter @"p\00" maps <array> : tensor<8xi32>
  trec.table @t : !trec.table<10x4, fp32, #trec.row_layout<header = none>>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a" : !kjt
    %checked = trec.check_bounds warning %ids in @"p\00"
    %mapped = trec.remap %checked by @"p\00"
    %rows = trec.lookup @t[%mapped] : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %values = trec.dequantize %rows : <!trec.row<4, fp32, #trec.row_layout<header = none>>>
    %pooled = trec.pool sum %values : <!trec.dequantized<4>>
    %out = trec.keyed_tensor %pooled : (tensor<?x4xf32>) -> !keyed
    return %out : !keyed
  }
}
