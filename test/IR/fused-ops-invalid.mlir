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

func.func @f(%ids: !trec.jagged<index>) {
  // expected-error @below {{expected 'fatal', 'warning', 'ignore' or 'none', got 'never'}}
  %0 = trec.embedding @t[%ids] bounds never : !trec.jagged<vector<8xf32>>
  return
}
