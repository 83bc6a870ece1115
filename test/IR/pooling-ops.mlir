// RUN: trec-opt %s --verify-roundtrip | FileCheck %s

!values = !trec.jagged<!trec.dequantized<16>>
!keyed = !trec.keyed_tensor<["a", "b"], [16, 8], f16>

// CHECK-LABEL: func.func @pool(
func.func @pool(%values: !values) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  // CHECK: trec.pool sum %{{.*}} : <!trec.dequantized<16>>
  %sum = trec.pool sum %values : !values
  // CHECK: trec.pool mean %{{.*}} {tag} : <!trec.dequantized<16>>
  %mean = trec.pool mean %values {tag} : !values
  return %sum, %mean : tensor<?x16xf32>, tensor<?x16xf32>
}

// CHECK-LABEL: func.func @cast_output(
func.func @cast_output(%pooled: tensor<?x16xf32>) -> (tensor<?x16xf16>, tensor<?x16xbf16>, tensor<?x16xf32>) {
  // CHECK: trec.cast_output %{{.*}} : tensor<?x16xf32> -> tensor<?x16xf16>
  %0 = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf16>
  // CHECK: trec.cast_output %{{.*}} : tensor<?x16xf32> -> tensor<?x16xbf16>
  %1 = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xbf16>
  // CHECK: trec.cast_output %{{.*}} {tag} : tensor<?x16xf32> -> tensor<?x16xf32>
  %2 = trec.cast_output %pooled {tag} : tensor<?x16xf32> -> tensor<?x16xf32>
  return %0, %1, %2 : tensor<?x16xf16>, tensor<?x16xbf16>, tensor<?x16xf32>
}

// CHECK-LABEL: func.func @keyed_tensor(
func.func @keyed_tensor(%a: tensor<?x16xf16>, %b: tensor<?x8xf16>) -> !keyed {
  // CHECK: trec.keyed_tensor %{{.*}}, %{{.*}} : (tensor<?x16xf16>, tensor<?x8xf16>) -> !keyed
  %0 = trec.keyed_tensor %a, %b : (tensor<?x16xf16>, tensor<?x8xf16>) -> !keyed
  // CHECK: trec.keyed_tensor %{{.*}}, %{{.*}} {tag} :
  %1 = trec.keyed_tensor %a, %b {tag} : (tensor<?x16xf16>, tensor<?x8xf16>) -> !keyed
  return %0 : !keyed
}

// CHECK-LABEL: func.func @regroup(
func.func @regroup(%a: !keyed, %b: !trec.keyed_tensor<["c"], [4], f16>) -> !trec.tensor_dict<["x", "y"], [24, 8], f16> {
  // CHECK: trec.regroup %{{.*}}, %{{.*}} {{\[\[}}"b", "a"], ["c", "c"]] : (!keyed, !keyed1) -> !groups
  %0 = trec.regroup %a, %b [["b", "a"], ["c", "c"]]
      : (!keyed, !trec.keyed_tensor<["c"], [4], f16>) -> !trec.tensor_dict<["x", "y"], [24, 8], f16>
  return %0 : !trec.tensor_dict<["x", "y"], [24, 8], f16>
}
