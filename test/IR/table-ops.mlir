// RUN: trec-opt %s --verify-roundtrip | FileCheck %s

#layout = #trec.row_layout<header = f16>
!ids = !trec.jagged<index>
!rows = !trec.jagged<!trec.row<16, int8, #layout>>

// CHECK: trec.table @ads : !trec.table<1000x16, int8, #layout>
trec.table @ads : !trec.table<1000x16, int8, #layout>
// CHECK: trec.table @"table: 1" {origin = "ebc"} : !trec.table<?x16, int8, #layout>
trec.table @"table: 1" {origin = "ebc"} : !trec.table<?x16, int8, #layout>

// CHECK: trec.parameter @decay : tensor<100xf32>
trec.parameter @decay : tensor<100xf32>
// CHECK: trec.parameter @array maps <array> {pruned} : tensor<100xi32>
trec.parameter @array maps <array> {pruned} : tensor<100xi32>
// CHECK: trec.parameter @slots maps <hash_table, ids = 50> : tensor<0x2xi32>
trec.parameter @slots maps <hash_table, ids = 50> : tensor<0x2xi32>
// CHECK: trec.parameter @pairs maps <sorted> : tensor<?x2xi64>
trec.parameter @pairs maps <sorted> : tensor<?x2xi64>

// CHECK-LABEL: func.func @check_bounds(
func.func @check_bounds(%ids: !ids) -> !ids {
  // CHECK: trec.check_bounds fatal %{{.*}} in @ads
  %0 = trec.check_bounds fatal %ids in @ads
  // CHECK: trec.check_bounds warning %{{.*}} in @ads
  %1 = trec.check_bounds warning %0 in @ads
  // CHECK: trec.check_bounds ignore %{{.*}} in @"table: 1"
  %2 = trec.check_bounds ignore %1 in @"table: 1"
  // CHECK: trec.check_bounds none %{{.*}} in @ads {tag}
  %3 = trec.check_bounds none %2 in @ads {tag}
  // The ids of a map.
  // CHECK: trec.check_bounds warning %{{.*}} in @array
  %4 = trec.check_bounds warning %3 in @array
  return %4 : !ids
}

// CHECK-LABEL: func.func @remap(
func.func @remap(%ids: !ids) -> !ids {
  // CHECK: trec.remap %{{.*}} by @slots
  %0 = trec.remap %ids by @slots
  // CHECK: trec.remap %{{.*}} by @pairs {tag}
  %1 = trec.remap %0 by @pairs {tag}
  return %1 : !ids
}

// CHECK-LABEL: func.func @lookup(
func.func @lookup(%ids: !ids) -> !trec.jagged<!trec.dequantized<16>> {
  // CHECK: %[[ROWS:.*]] = trec.lookup @ads[%{{.*}}] : <!trec.row<16, int8, #layout>>
  %rows = trec.lookup @ads[%ids] : !rows
  // CHECK: trec.lookup @ads[%{{.*}}] {tag} : <!trec.row<16, int8, #layout>>
  %tagged = trec.lookup @ads[%ids] {tag} : !rows
  // CHECK: trec.dequantize %[[ROWS]] : <!trec.row<16, int8, #layout>>
  %values = trec.dequantize %rows : !rows
  // CHECK: trec.dequantize %{{.*}} {tag} : <!trec.row<16, int8, #layout>>
  %more = trec.dequantize %tagged {tag} : !rows
  return %values : !trec.jagged<!trec.dequantized<16>>
}
