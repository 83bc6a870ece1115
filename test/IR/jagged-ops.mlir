// RUN: trec-opt %s --verify-roundtrip | FileCheck %s

!kjt = !trec.kjt<["a", "b"], weighted>
!plain = !trec.kjt<["a"]>
!ids = !trec.jagged<index>
!values = !trec.jagged<!trec.dequantized<16>>
!rows = !trec.jagged<vector<16xf32>>
!halves = !trec.jagged<vector<16xbf16>>
!dict = !trec.jagged_dict<["a", "b"], [16, 16], f32>
!stored = !trec.jagged<!trec.row<16, int8, #trec.row_layout<header = f16, align = 16>>>
!bytes = !trec.jagged<vector<20xi8>>
!byte_dict = !trec.jagged_dict<["a"], [20], i8>

trec.parameter @decay : tensor<100xf32>

// CHECK-LABEL: func.func @feature(
func.func @feature(%kjt: !kjt, %plain: !plain) -> (!ids, !ids) {
  // CHECK: trec.feature %{{.*}} "b" : !kjt{{[0-9]*}}
  %b = trec.feature %kjt "b" : !kjt
  // CHECK: trec.feature %{{.*}} "a" {tag} : !kjt{{[0-9]*}}
  %a = trec.feature %plain "a" {tag} : !plain
  // CHECK: trec.feature %{{.*}} "a" length 0 : !kjt{{[0-9]*}}
  %none = trec.feature %plain "a" length 0 : !plain
  // CHECK: trec.feature %{{.*}} "b" length 2147483647 {tag} : !kjt{{[0-9]*}}
  %most = trec.feature %kjt "b" length 2147483647 {tag} : !kjt
  return %a, %b : !ids, !ids
}

// CHECK-LABEL: func.func @weights(
func.func @weights(%kjt: !kjt, %ids: !ids) -> (!trec.jagged<f32>, !trec.jagged<f32>) {
  // CHECK: trec.sample_weights %{{.*}} "b" : !kjt{{[0-9]*}}
  %b = trec.sample_weights %kjt "b" : !kjt
  // CHECK: trec.sample_weights %{{.*}} "a" {tag} : !kjt{{[0-9]*}}
  %a = trec.sample_weights %kjt "a" {tag} : !kjt
  // CHECK: trec.position_weights %{{.*}} from @decay
  %0 = trec.position_weights %ids from @decay
  // CHECK: trec.position_weights %{{.*}} from @decay {tag}
  %1 = trec.position_weights %ids from @decay {tag}
  return %a, %0 : !trec.jagged<f32>, !trec.jagged<f32>
}

// CHECK-LABEL: func.func @weight(
func.func @weight(%values: !values, %weights: !trec.jagged<f32>) -> !values {
  // CHECK: trec.weight %{{.*}} by %{{.*}} : <!trec.dequantized<16>>
  %0 = trec.weight %values by %weights : !values
  // CHECK: trec.weight %{{.*}} by %{{.*}} {tag} : <!trec.dequantized<16>>
  %1 = trec.weight %0 by %weights {tag} : !values
  return %1 : !values
}

// CHECK-LABEL: func.func @materialize(
func.func @materialize(%values: !values) -> (!rows, !halves) {
  // CHECK: trec.materialize %{{.*}} : <!trec.dequantized<16>> -> <vector<16xf32>>
  %0 = trec.materialize %values : !values -> !rows
  // CHECK: trec.materialize %{{.*}} {tag} : <!trec.dequantized<16>> -> <vector<16xbf16>>
  %1 = trec.materialize %values {tag} : !values -> !halves
  return %0, %1 : !rows, !halves
}

// CHECK-LABEL: func.func @stored_bytes(
func.func @stored_bytes(%rows: !stored) -> !bytes {
  // CHECK: trec.stored_bytes %{{.*}} : <!trec.row<16, int8, #layout>>
  %0 = trec.stored_bytes %rows : !stored
  // CHECK: trec.stored_bytes %{{.*}} {tag} : <!trec.row<16, int8, #layout>>
  %1 = trec.stored_bytes %rows {tag} : !stored
  return %1 : !bytes
}

// CHECK-LABEL: func.func @jagged_dict(
func.func @jagged_dict(%a: !rows, %b: !rows) -> !dict {
  // CHECK: trec.jagged_dict %{{.*}}, %{{.*}} : (!trec.jagged<vector<16xf32>>, !trec.jagged<vector<16xf32>>) -> !dict
  %0 = trec.jagged_dict %a, %b : (!rows, !rows) -> !dict
  // CHECK: trec.jagged_dict %{{.*}}, %{{.*}} {tag} :
  %1 = trec.jagged_dict %a, %b {tag} : (!rows, !rows) -> !dict
  return %0 : !dict
}

// CHECK-LABEL: func.func @dict_of_bytes(
func.func @dict_of_bytes(%a: !bytes) -> !byte_dict {
  // CHECK: trec.jagged_dict %{{.*}} : (!trec.jagged<vector<20xi8>>) -> !dict{{[0-9]*}}
  %0 = trec.jagged_dict %a : (!bytes) -> !byte_dict
  return %0 : !byte_dict
}
