// RUN: trec-opt %s --split-input-file --verify-diagnostics

// trec.feature C1: another key.
func.func @f(%kjt: !trec.kjt<["a"]>) {
  // expected-error @below {{expected a key of the batch, got "b"}}
  %0 = trec.feature %kjt "b" : !trec.kjt<["a"]>
  return
}

// -----

// trec.feature C2: fewer ids than none.
func.func @f(%kjt: !trec.kjt<["a"]>) {
  // expected-error @below {{'trec.feature' op expected a length of 0 to 2147483647 ids, got -1}}
  %0 = trec.feature %kjt "a" length -1 : !trec.kjt<["a"]>
  return
}

// -----

// trec.feature C2: more ids than lengths of 32 bits can say.
func.func @f(%kjt: !trec.kjt<["a"]>) {
  // expected-error @below {{expected a length of 0 to 2147483647 ids, got 2147483648}}
  %0 = trec.feature %kjt "a" length 2147483648 : !trec.kjt<["a"]>
  return
}

// -----

// trec.sample_weights C1: another key.
func.func @f(%kjt: !trec.kjt<["a"], weighted>) {
  // expected-error @below {{expected a key of the batch, got "b"}}
  %0 = trec.sample_weights %kjt "b" : !trec.kjt<["a"], weighted>
  return
}

// -----

// trec.sample_weights C2: a batch without weights.
func.func @f(%kjt: !trec.kjt<["a"]>) {
  // expected-error @below {{expected a weighted batch}}
  %0 = trec.sample_weights %kjt "a" : !trec.kjt<["a"]>
  return
}

// -----

// trec.position_weights C1: no such symbol.
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @decay to name a trec.parameter}}
  %0 = trec.position_weights %ids from @decay
  return
}

// -----

// trec.position_weights C1: integers.
trec.parameter @decay maps <array> : tensor<10xi32>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected weights of f32, got 'tensor<10xi32>'}}
  %0 = trec.position_weights %ids from @decay
  return
}

// -----

func.func @f(%ids: !trec.jagged<index>, %weights: !trec.jagged<f32>) {
  // expected-error @below {{operand #0 must be jagged dequantized rows, but got '!trec.jagged<index>'}}
  %0 = trec.weight %ids by %weights : !trec.jagged<index>
  return
}

// -----

// trec.materialize C1: another dim.
func.func @f(%values: !trec.jagged<!trec.dequantized<16>>) {
  // expected-error @below {{expected a vector of 16 elements, got 'vector<8xf32>'}}
  %0 = trec.materialize %values : !trec.jagged<!trec.dequantized<16>> -> !trec.jagged<vector<8xf32>>
  return
}

// -----

func.func @f(%values: !trec.jagged<!trec.dequantized<16>>) {
  // expected-error @below {{operand #0 must be jagged stored rows, but got '!trec.jagged<!trec.dequantized<16>>'}}
  %0 = "trec.stored_bytes"(%values) : (!trec.jagged<!trec.dequantized<16>>) -> !trec.jagged<vector<20xi8>>
  return
}

// -----

func.func @f(%rows: !trec.jagged<!trec.row<16, int8, #trec.row_layout<header = f16>>>) {
  // expected-error @below {{failed to infer returned types}}
  // expected-error @below {{inferred type(s) '!trec.jagged<vector<20xi8>>' are incompatible with return type(s) of operation '!trec.jagged<vector<16xi8>>'}}
  %0 = "trec.stored_bytes"(%rows) : (!trec.jagged<!trec.row<16, int8, #trec.row_layout<header = f16>>>) -> !trec.jagged<vector<16xi8>>
  return
}

// -----

// trec.jagged_dict C1: an operand too few.
func.func @f(%a: !trec.jagged<vector<4xf32>>) {
  // expected-error @below {{expected 2 operands, one per key, got 1}}
  %0 = trec.jagged_dict %a : (!trec.jagged<vector<4xf32>>) -> !trec.jagged_dict<["a", "b"], [4, 4], f32>
  return
}

// -----

// trec.jagged_dict C2: another dim.
func.func @f(%a: !trec.jagged<vector<4xf32>>) {
  // expected-error @below {{expected rows of 'vector<8xf32>' for key "a", got 'vector<4xf32>'}}
  %0 = trec.jagged_dict %a : (!trec.jagged<vector<4xf32>>) -> !trec.jagged_dict<["a"], [8], f32>
  return
}

// -----

// trec.jagged_dict C2: another element.
func.func @f(%a: !trec.jagged<vector<4xf32>>) {
  // expected-error @below {{expected rows of 'vector<4xf16>' for key "a", got 'vector<4xf32>'}}
  %0 = trec.jagged_dict %a : (!trec.jagged<vector<4xf32>>) -> !trec.jagged_dict<["a"], [4], f16>
  return
}
