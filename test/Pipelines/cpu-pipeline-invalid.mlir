// RUN: trec-opt %s --trec-cpu-pipeline --split-input-file --verify-diagnostics

// What the import contract refuses, no later pass sees.

// expected-error @below {{expected trec.contract = 1 : i32, got none; only an imported model can be compiled}}
module {}

// -----

// expected-error @below {{expected a function @forward, got none}}
module attributes {trec.contract = 1 : i32} {}

// -----

module attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
  func.func @forward(%kjt: !trec.kjt<["f"]>) -> !trec.keyed_tensor<["f"], [8], f32> {
    %ids = trec.feature %kjt "f" : !trec.kjt<["f"]>
    // expected-error @below {{is not compiled: it is made by the compiler itself; write the ops that it stands for}}
    %pooled = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x8xf32>
    %out = trec.keyed_tensor %pooled : (tensor<?x8xf32>) -> !trec.keyed_tensor<["f"], [8], f32>
    return %out : !trec.keyed_tensor<["f"], [8], f32>
  }
}
