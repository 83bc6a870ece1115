// RUN: trec-opt %s --split-input-file --verify-diagnostics

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C1: no bags.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected at least one bag}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [] bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C2: another op.
func.func private @k()
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected @k to name a trec.table}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [#trec.bag<@k, "a", 0>] bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C3: another key.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected a key of the batch, got "b"}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [#trec.bag<@t, "b", 0>] bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C4: no such function.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected @k to name a func.func}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [#trec.bag<@t, "a", 0>] bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C4: other arguments.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
// expected-note @below {{declared here}}
func.func private @k(memref<?xi8>, index, index)
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected @k to take seven memrefs, two indexes, an f32 and five indexes, got '(memref<?xi8>, index, index) -> ()'}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [#trec.bag<@t, "a", 0>] bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C4: rows of another rank.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
// expected-note @below {{declared here}}
func.func private @k(memref<?xi8>, memref<?xi64>, memref<?xi64>, memref<?xf32>, memref<?x16xf32>, memref<2xi64>, memref<?xi32>, index, index, f32, index, index, index, index, index)
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected @k to take seven memrefs, two indexes, an f32 and five indexes}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [#trec.bag<@t, "a", 0>] bounds warning : !kjt, !keyed
  return
}

// -----

!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["x"], [16], f32>
// trec.dispatch C3: one batch too far.
func.func @f(%kjt: !kjt, %dest: !keyed) {
  // expected-error @below {{expected one of 1 batches for "a", got batch 1}}
  %0 = trec.dispatch @k, @k(%kjt) into %dest [#trec.bag<@t, "a", 0, batch = 1>] bounds warning : !kjt, !keyed
  return
}
