// RUN: trec-opt %s --split-input-file --verify-diagnostics

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C1: no bags.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected at least one bag}}
  %0 = trec.embedding_group %kjt into %dest [] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C2: no such symbol.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C2: rows of another type.
// expected-note @below {{its rows are '!trec.row<16, int4, <header = f16>>'}}
trec.table @t : !trec.table<10x16, int4, #trec.row_layout<header = f16>>
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected tables with rows of type '!trec.row<16, int8, <header = f16>>', got @t}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C3: another key of the batch.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected a key of the batch, got "b"}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "b", 0>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C4: one key too far.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected one of the 2 keys of the output for "a", got key 2}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 2>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C4: a key of another dim.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected a key of dim 16 for "a", got one of dim 8}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 1>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x"], [16], i8>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C4: a key of bytes that has the dim of the row.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected a key of dim 20 for "a", got one of dim 16}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C5: weights.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected bags without weights}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0, weights = @p>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C6: one bag with a remap.
trec.parameter @m maps <hash_table> : tensor<8x2xi32>
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected remaps of all bags by maps of one kind, or of none}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0>, #trec.bag<@t, "a", 0, remap = @m>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C7: a remap of floats.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @m : tensor<8xf32>
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected a parameter that maps ids, got 'tensor<8xf32>'}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0, remap = @m>] rows !row bounds warning : !kjt, !dict
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["x", "y"], [16, 8], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_group C8: rows that are not added have no order.
func.func @f(%kjt: !kjt, %dest: !dict) {
  // expected-error @below {{expected rows that are not pooled to be added in_order, got bias_once}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, certified = bias_once> : !kjt, !dict
  return
}
