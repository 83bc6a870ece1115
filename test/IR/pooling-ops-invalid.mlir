// RUN: trec-opt %s --split-input-file --verify-diagnostics

func.func @f(%values: !trec.jagged<!trec.dequantized<16>>) {
  // expected-error @below {{expected 'sum' or 'mean', got 'max'}}
  %0 = trec.pool max %values : !trec.jagged<!trec.dequantized<16>>
  return
}

// -----

func.func @f(%values: !trec.jagged<!trec.dequantized<16>>) {
  // expected-error @below {{expected valid keyword}}
  %0 = trec.pool %values : !trec.jagged<!trec.dequantized<16>>
  return
}

// -----

func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected jagged dequantized rows, got '!trec.jagged<index>'}}
  %0 = trec.pool sum %ids : !trec.jagged<index>
  return
}

// -----

// trec.cast_output C1: another dim.
func.func @f(%pooled: tensor<?x16xf32>) {
  // expected-error @below {{expected a result of the shape of 'tensor<?x16xf32>', got 'tensor<?x8xf16>'}}
  %0 = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x8xf16>
  return
}

// -----

func.func @f(%pooled: tensor<?x16xf32>) {
  // expected-error @below {{result #0 must be 2D tensor of 32-bit float or 16-bit float or bfloat16 type values}}
  %0 = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xi8>
  return
}

// -----

// trec.keyed_tensor C1: an operand too many.
func.func @f(%a: tensor<?x4xf32>) {
  // expected-error @below {{expected 1 operands, one per key, got 2}}
  %0 = trec.keyed_tensor %a, %a : (tensor<?x4xf32>, tensor<?x4xf32>) -> !trec.keyed_tensor<["a"], [4], f32>
  return
}

// -----

// trec.keyed_tensor C2: another dim.
func.func @f(%a: tensor<?x4xf32>) {
  // expected-error @below {{expected 8 columns of 'f32' for key "a", got 'tensor<?x4xf32>'}}
  %0 = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !trec.keyed_tensor<["a"], [8], f32>
  return
}

// -----

// trec.keyed_tensor C2: another element.
func.func @f(%a: tensor<?x4xf32>) {
  // expected-error @below {{expected 4 columns of 'bf16' for key "a", got 'tensor<?x4xf32>'}}
  %0 = trec.keyed_tensor %a : (tensor<?x4xf32>) -> !trec.keyed_tensor<["a"], [4], bf16>
  return
}

// -----

!keyed = !trec.keyed_tensor<["a"], [4], f32>
// trec.regroup C1: a group too many.
func.func @f(%a: !keyed) {
  // expected-error @below {{expected 1 groups, one per key of the result, got 2}}
  %0 = trec.regroup %a [["a"], ["a"]] : (!keyed) -> !trec.tensor_dict<["x"], [4], f32>
  return
}

// -----

!keyed = !trec.keyed_tensor<["a"], [4], f32>
// trec.regroup C1: an empty group.
func.func @f(%a: !keyed) {
  // expected-error @below {{expected keys in group "x", got none}}
  %0 = trec.regroup %a [[]] : (!keyed) -> !trec.tensor_dict<["x"], [4], f32>
  return
}

// -----

!keyed = !trec.keyed_tensor<["a"], [4], f32>
// trec.regroup C2: a key of no operand.
func.func @f(%a: !keyed) {
  // expected-error @below {{expected key "b" of group "x" once among the keys of its operands, got no such key}}
  %0 = trec.regroup %a [["b"]] : (!keyed) -> !trec.tensor_dict<["x"], [4], f32>
  return
}

// -----

!keyed = !trec.keyed_tensor<["a"], [4], f32>
// trec.regroup C2: a key of two operands.
func.func @f(%a: !keyed, %b: !keyed) {
  // expected-error @below {{expected key "a" of group "x" once among the keys of its operands, got several}}
  %0 = trec.regroup %a, %b [["a"]] : (!keyed, !keyed) -> !trec.tensor_dict<["x"], [4], f32>
  return
}

// -----

!keyed = !trec.keyed_tensor<["a"], [4], f32>
// trec.regroup C3: another dim.
func.func @f(%a: !keyed) {
  // expected-error @below {{expected a dim of 8 for group "x", the sum of its keys', got 4}}
  %0 = trec.regroup %a [["a", "a"]] : (!keyed) -> !trec.tensor_dict<["x"], [4], f32>
  return
}

// -----

!keyed = !trec.keyed_tensor<["a"], [4], f32>
// trec.regroup C4: another element.
func.func @f(%a: !keyed) {
  // expected-error @below {{expected operands of 'f16', got '!trec.keyed_tensor<["a"], [4], f32>'}}
  %0 = trec.regroup %a [["a"]] : (!keyed) -> !trec.tensor_dict<["x"], [4], f16>
  return
}
