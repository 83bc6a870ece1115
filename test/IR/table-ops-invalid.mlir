// RUN: trec-opt %s --split-input-file --verify-diagnostics

// expected-error @below {{'trec.table' op attribute 'table_type' failed to satisfy constraint: type attribute of an embedding table}}
trec.table @t : i32

// -----

func.func @f() {
  // expected-error @below {{expects parent op 'builtin.module'}}
  trec.table @t : !trec.table<1x1, int8, #trec.row_layout<header = f16>>
  return
}

// -----

// expected-note @below {{see existing symbol definition here}}
trec.table @t : !trec.table<1x1, int8, #trec.row_layout<header = f16>>
// expected-error @below {{redefinition of symbol named 't'}}
trec.parameter @t : tensor<1xf32>

// -----

// trec.parameter C1: another rank.
// expected-error @below {{expected a static tensor of rank 1 of f32, or a map, got 'tensor<1x1xf32>'}}
trec.parameter @p : tensor<1x1xf32>

// -----

// trec.parameter C1: of unknown length.
// expected-error @below {{expected a static tensor of rank 1 of f32, or a map, got 'tensor<?xf32>'}}
trec.parameter @p : tensor<?xf32>

// -----

// trec.parameter C1: another element.
// expected-error @below {{expected a static tensor of rank 1 of f32, or a map, got 'tensor<1xf16>'}}
trec.parameter @p : tensor<1xf16>

// -----

// trec.parameter C1: integers that map nothing.
// expected-error @below {{expected a static tensor of rank 1 of f32, or a map, got 'tensor<8xi32>'}}
trec.parameter @p : tensor<8xi32>

// -----

// trec.parameter C2: an array of pairs.
// expected-error @below {{expected a tensor of rank 1 of 'i32' for a map of kind 'array', got 'tensor<8x2xi32>'}}
trec.parameter @p maps <array> : tensor<8x2xi32>

// -----

// trec.parameter C2: an array of wide rows.
// expected-error @below {{expected a tensor of rank 1 of 'i32' for a map of kind 'array', got 'tensor<8xi64>'}}
trec.parameter @p maps <array> : tensor<8xi64>

// -----

// trec.parameter C2: slots of three elements.
// expected-error @below {{expected a tensor of rank 2 of 'i32' with pairs for a map of kind 'hash_table', got 'tensor<8x3xi32>'}}
trec.parameter @p maps <hash_table> : tensor<8x3xi32>

// -----

// trec.parameter C2: slots of unknown width.
// expected-error @below {{expected a tensor of rank 2 of 'i32' with pairs for a map of kind 'hash_table', got 'tensor<8x?xi32>'}}
trec.parameter @p maps <hash_table> : tensor<8x?xi32>

// -----

// trec.parameter C2: narrow ids.
// expected-error @below {{expected a tensor of rank 2 of 'i64' with pairs for a map of kind 'sorted', got 'tensor<8x2xi32>'}}
trec.parameter @p maps <sorted> : tensor<8x2xi32>

// -----

// trec.check_bounds C1: no such symbol.
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.check_bounds warning %ids in @t
  return
}

// -----

// trec.check_bounds C1: another op.
func.func private @t()
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.check_bounds warning %ids in @t
  return
}

// -----

// trec.check_bounds C1: a parameter that is no map.
trec.parameter @p : tensor<1xf32>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected a parameter that maps ids, got 'tensor<1xf32>'}}
  %0 = trec.check_bounds warning %ids in @p
  return
}

// -----

func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected 'fatal', 'warning', 'ignore' or 'none', got 'clamp'}}
  %0 = trec.check_bounds clamp %ids in @t
  return
}

// -----

func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected valid keyword}}
  %0 = trec.check_bounds "warning" %ids in @t
  return
}

// -----

// expected-note @below {{prior use here}}
func.func @f(%weights: !trec.jagged<f32>) {
  // expected-error @below {{expects different type than prior uses}}
  %0 = trec.check_bounds warning %weights in @t
  return
}

// -----

// trec.remap C1: no such symbol.
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @map to name a trec.parameter}}
  %0 = trec.remap %ids by @map
  return
}

// -----

// trec.remap C1: weights.
trec.parameter @map : tensor<10xf32>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected a parameter that maps ids, got 'tensor<10xf32>'}}
  %0 = trec.remap %ids by @map
  return
}

// -----

// trec.lookup C1: another op.
func.func private @t()
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.lookup @t[%ids] : !trec.jagged<!trec.row<4, int8, #trec.row_layout<header = f16>>>
  return
}

// -----

// trec.lookup C2: rows of another dim.
trec.table @t : !trec.table<10x8, int8, #trec.row_layout<header = f16>>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected rows of type '!trec.row<8, int8, <header = f16>>', got '!trec.row<4, int8, <header = f16>>'}}
  %0 = trec.lookup @t[%ids] : !trec.jagged<!trec.row<4, int8, #trec.row_layout<header = f16>>>
  return
}

// -----

func.func @f(%values: !trec.jagged<f32>) {
  // expected-error @below {{expected jagged stored rows, got '!trec.jagged<f32>'}}
  %0 = trec.dequantize %values : !trec.jagged<f32>
  return
}
