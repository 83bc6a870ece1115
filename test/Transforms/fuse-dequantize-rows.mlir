// RUN: trec-opt %s --trec-fuse-dequantize | FileCheck %s

// Lookups that are not pooled, and maps of pruned tables.

#layout = #trec.row_layout<header = f16, align = 16>
!ids = !trec.jagged<index>
!rows = !trec.jagged<!trec.row<16, int8, #layout>>
!values = !trec.jagged<!trec.dequantized<16>>
!floats = !trec.jagged<vector<16xf32>>
!halves = !trec.jagged<vector<16xbf16>>
!bytes = !trec.jagged<vector<20xi8>>

trec.table @t : !trec.table<1000x16, int8, #layout>
trec.table @u : !trec.table<1000x16, int8, #layout>
trec.parameter @m maps <array> : tensor<5000xi32>
trec.parameter @n maps <array> : tensor<5000xi32>

// CHECK-LABEL: func.func @rows(
// CHECK-SAME: %[[IDS:.*]]: !trec.jagged<index>
// CHECK-NEXT: %[[FLOATS:.*]] = trec.embedding @t[%[[IDS]]] bounds ignore : <vector<16xf32>>
// CHECK-NEXT: return %[[FLOATS]]
func.func @rows(%ids: !ids) -> !floats {
  %checked = trec.check_bounds ignore %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %floats = trec.materialize %values : !values -> !floats
  return %floats : !floats
}

// CHECK-LABEL: func.func @mapped_rows(
// CHECK-NEXT: %[[HALVES:.*]] = trec.embedding @t[%{{.*}}] remap @m bounds warning : <vector<16xbf16>>
// CHECK-NEXT: return %[[HALVES]]
func.func @mapped_rows(%ids: !ids) -> !halves {
  %checked = trec.check_bounds warning %ids in @m
  %mapped = trec.remap %checked by @m
  %rows = trec.lookup @t[%mapped] : !rows
  %values = trec.dequantize %rows : !rows
  %halves = trec.materialize %values : !values -> !halves
  return %halves : !halves
}

// CHECK-LABEL: func.func @stored_rows(
// CHECK-SAME: %[[IDS:.*]]: !trec.jagged<index>
// CHECK-NEXT: %[[BYTES:.*]] = trec.embedding @t[%[[IDS]]] remap @m bounds warning : <vector<20xi8>>
// CHECK-NEXT: return %[[BYTES]]
func.func @stored_rows(%ids: !ids) -> !bytes {
  %checked = trec.check_bounds warning %ids in @m
  %mapped = trec.remap %checked by @m
  %rows = trec.lookup @t[%mapped] : !rows
  %bytes = trec.stored_bytes %rows : !rows
  return %bytes : !bytes
}

// CHECK-LABEL: func.func @mapped_bags(
// CHECK-SAME: %[[IDS:.*]]: !trec.jagged<index>, %[[WEIGHTS:.*]]: !trec.jagged<f32>
// CHECK-NEXT: %[[HALF:.*]] = trec.embedding_bag mean @t[%[[IDS]]] weights %[[WEIGHTS]] remap @m bounds warning : tensor<?x16xf16>
// CHECK-NEXT: return %[[HALF]]
func.func @mapped_bags(%ids: !ids, %weights: !trec.jagged<f32>) -> tensor<?x16xf16> {
  %checked = trec.check_bounds warning %ids in @m
  %mapped = trec.remap %checked by @m
  %rows = trec.lookup @t[%mapped] : !rows
  %values = trec.dequantize %rows : !rows
  %weighted = trec.weight %values by %weights : !values
  %pooled = trec.pool mean %weighted : !values
  %half = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf16>
  return %half : tensor<?x16xf16>
}

// What is used twice would be computed twice.
// CHECK-LABEL: func.func @shared_rows(
// CHECK-NOT: trec.embedding
// CHECK: trec.materialize
// CHECK: trec.materialize
func.func @shared_rows(%ids: !ids) -> (!floats, !halves) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %floats = trec.materialize %values : !values -> !floats
  %halves = trec.materialize %values : !values -> !halves
  return %floats, %halves : !floats, !halves
}

// CHECK-LABEL: func.func @shared_stored_rows(
// CHECK-NOT: trec.embedding
// CHECK: trec.stored_bytes
func.func @shared_stored_rows(%ids: !ids) -> (!bytes, !values) {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %bytes = trec.stored_bytes %rows : !rows
  %values = trec.dequantize %rows : !rows
  return %bytes, %values : !bytes, !values
}

// CHECK-LABEL: func.func @shared_map(
// CHECK-NOT: trec.embedding
// CHECK: trec.materialize
func.func @shared_map(%ids: !ids) -> (!floats, !ids) {
  %checked = trec.check_bounds warning %ids in @m
  %mapped = trec.remap %checked by @m
  %rows = trec.lookup @t[%mapped] : !rows
  %values = trec.dequantize %rows : !rows
  %floats = trec.materialize %values : !values -> !floats
  return %floats, %mapped : !floats, !ids
}

// Checked against another map, against the table, not at all.
// CHECK-LABEL: func.func @other_check(
// CHECK-NOT: trec.embedding
// CHECK: return
func.func @other_check(%ids: !ids) -> (!floats, !floats, !floats) {
  %checked0 = trec.check_bounds warning %ids in @n
  %mapped0 = trec.remap %checked0 by @m
  %rows0 = trec.lookup @t[%mapped0] : !rows
  %values0 = trec.dequantize %rows0 : !rows
  %0 = trec.materialize %values0 : !values -> !floats
  %checked1 = trec.check_bounds warning %ids in @t
  %mapped1 = trec.remap %checked1 by @m
  %rows1 = trec.lookup @t[%mapped1] : !rows
  %values1 = trec.dequantize %rows1 : !rows
  %1 = trec.materialize %values1 : !values -> !floats
  %mapped2 = trec.remap %ids by @m
  %rows2 = trec.lookup @t[%mapped2] : !rows
  %values2 = trec.dequantize %rows2 : !rows
  %2 = trec.materialize %values2 : !values -> !floats
  return %0, %1, %2 : !floats, !floats, !floats
}

// Weighted rows have no kernel without pooling.
// CHECK-LABEL: func.func @weighted_rows(
// CHECK-NOT: trec.embedding
// CHECK: trec.weight
// CHECK: trec.materialize
func.func @weighted_rows(%ids: !ids, %weights: !trec.jagged<f32>) -> !floats {
  %checked = trec.check_bounds warning %ids in @t
  %rows = trec.lookup @t[%checked] : !rows
  %values = trec.dequantize %rows : !rows
  %weighted = trec.weight %values by %weights : !values
  %floats = trec.materialize %weighted : !values -> !floats
  return %floats : !floats
}
