// RUN: trec-opt %s --split-input-file --verify-diagnostics

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C1: no bags.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected at least one bag}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C2: no such symbol.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C2: rows of another type.
// expected-note @below {{its rows are '!trec.row<16, int4, <header = f16>>'}}
trec.table @t : !trec.table<10x16, int4, #trec.row_layout<header = f16>>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected tables with rows of type '!trec.row<16, int8, <header = f16>>', got @t}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C3: another key.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected a key of the batch, got "b"}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "b", 0>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C4: one column too far.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected columns of "a" within the 16 of the output, got 1 to 17}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 1>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C5: a batch without weights.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected a weighted batch}}
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"], weighted>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C5: weights of both kinds.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected bags without weights in a weighted group}}
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "a", 0, weights = @p>]
    rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C6: one bag without weights.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected weights of all bags or of none}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, weights = @p>, #trec.bag<@t, "a", 16>]
    rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C6: one bag with weights.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected weights of all bags or of none}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0>, #trec.bag<@t, "a", 16, weights = @p>]
    rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C7: a table.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected @t to name a trec.parameter}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, weights = @t>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C7: integers.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @p maps <array> : tensor<8xi32>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected weights of f32, got 'tensor<8xi32>'}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, weights = @p>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C8: one bag without a remap.
trec.parameter @m maps <array> : tensor<8xi32>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected remaps of all bags by maps of one kind, or of none}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, remap = @m>, #trec.bag<@t, "a", 16>]
    rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C8: maps of two kinds.
trec.parameter @m maps <array> : tensor<8xi32>
trec.parameter @n maps <sorted> : tensor<8x2xi64>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected remaps of all bags by maps of one kind, or of none}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, remap = @m>, #trec.bag<@t, "a", 16, remap = @n>]
    rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x", "y"], [16, 16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C9: a remap of floats.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @m : tensor<8xf32>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected a parameter that maps ids, got 'tensor<8xf32>'}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, remap = @m>] rows !row bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!groups = !trec.tensor_dict<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C3: one batch too far.
func.func @f(%kjt: !kjt, %dest: !groups) {
  // expected-error @below {{expected one of 2 batches for "a", got batch 2}}
  %0 = trec.embedding_bag_group sum %kjt, %kjt into %dest [#trec.bag<@t, "a", 0, batch = 2>] rows !row bounds warning : !kjt, !kjt, !groups
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!groups = !trec.tensor_dict<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C4: one output too far.
func.func @f(%kjt: !kjt, %dest: !groups) {
  // expected-error @below {{expected one of 1 outputs for "a", got output 1}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0, output = 1>] rows !row bounds warning : !kjt, !groups
  return
}

// -----

!kjt = !trec.kjt<["a"], weighted>
!kjt1 = !trec.kjt<["a"]>
!groups = !trec.tensor_dict<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C5: the batch of the bag has no weights, another has.
func.func @f(%kjt: !kjt, %kjt1: !kjt1, %dest: !groups) {
  // expected-error @below {{expected a weighted batch}}
  %0 = trec.embedding_bag_group sum weighted %kjt, %kjt1 into %dest [#trec.bag<@t, "a", 0, batch = 1>] rows !row bounds warning : !kjt, !kjt1, !groups
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!groups = !trec.tensor_dict<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// The type of the output is missing.
func.func @f(%kjt: !kjt, %dest: !groups) {
  // expected-error @below {{expected types of batches and of an output}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning : !kjt
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, fp16, #trec.row_layout<header = none>>
// trec.embedding_bag_group C10: floats have no bias.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected rows of codes of at most 8 bits for bias_once, got '!trec.row<16, fp16}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, certified = bias_once> : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int4, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C10: sums of two codes of 4 bits are too many for a permutation.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected rows of codes of at most 2 bits for row_pairs, got '!trec.row<16, int4}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, certified = row_pairs> : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"], weighted>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
!row = !trec.row<16, int8, #trec.row_layout<header = f16>>
// trec.embedding_bag_group C10: weights are not certified.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected weighted rows to be added in_order, got bias_once}}
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "a", 0>] rows !row bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, certified = bias_once> : !kjt, !keyed
  return
}
