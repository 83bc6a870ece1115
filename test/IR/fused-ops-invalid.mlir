// RUN: trec-opt %s --split-input-file --verify-diagnostics

// trec.embedding_bag C1: no such symbol.
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x16xf32>
  return
}

// -----

// trec.embedding_bag C2: another dim.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected 16 columns, the dim of @t, got 'tensor<?x8xf32>'}}
  %0 = trec.embedding_bag sum @t[%ids] bounds warning : tensor<?x8xf32>
  return
}

// -----

// trec.embedding_bag C3: weights of both kinds.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @p : tensor<8xf32>
func.func @f(%ids: !trec.jagged<index>, %w: !trec.jagged<f32>) {
  // expected-error @below {{expected weights or position weights, got both}}
  %0 = trec.embedding_bag sum @t[%ids] weights %w position_weights @p bounds warning : tensor<?x16xf32>
  return
}

// -----

// trec.embedding_bag C4: no such symbol.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @t to name a trec.parameter}}
  %0 = trec.embedding_bag sum @t[%ids] position_weights @t bounds warning : tensor<?x16xf32>
  return
}

// -----

// trec.embedding_bag C4: integers.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @p maps <array> : tensor<8xi32>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected weights of f32, got 'tensor<8xi32>'}}
  %0 = trec.embedding_bag sum @t[%ids] position_weights @p bounds warning : tensor<?x16xf32>
  return
}

// -----

// trec.embedding_bag C5: no such symbol.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @m to name a trec.parameter}}
  %0 = trec.embedding_bag sum @t[%ids] remap @m bounds warning : tensor<?x16xf32>
  return
}

// -----

// trec.embedding_bag C5: floats.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @m : tensor<8xf32>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected a parameter that maps ids, got 'tensor<8xf32>'}}
  %0 = trec.embedding_bag sum @t[%ids] remap @m bounds warning : tensor<?x16xf32>
  return
}

// -----

func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected 'sum' or 'mean', got 'max'}}
  %0 = trec.embedding_bag max @t[%ids] bounds warning : tensor<?x8xf32>
  return
}

// -----

// trec.embedding C1: no such symbol.
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected @t to name a trec.table}}
  %0 = trec.embedding @t[%ids] bounds warning : !trec.jagged<vector<16xf32>>
  return
}

// -----

// trec.embedding C2: another dim.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected a vector of 16 elements, the dim of @t, got 'vector<8xf32>'}}
  %0 = trec.embedding @t[%ids] bounds warning : !trec.jagged<vector<8xf32>>
  return
}

// -----

// trec.embedding C2: bytes, but not those of a row.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected a vector of 20 elements, the bytes of a row of @t, got 'vector<16xi8>'}}
  %0 = trec.embedding @t[%ids] bounds warning : !trec.jagged<vector<16xi8>>
  return
}

// -----

func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected 'fatal', 'warning', 'ignore' or 'none', got 'never'}}
  %0 = trec.embedding @t[%ids] bounds never : !trec.jagged<vector<8xf32>>
  return
}

// -----

// trec.embedding C3: floats.
trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16>>
trec.parameter @m : tensor<8xf32>
func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected a parameter that maps ids, got 'tensor<8xf32>'}}
  %0 = trec.embedding @t[%ids] remap @m bounds warning : !trec.jagged<vector<16xf32>>
  return
}
