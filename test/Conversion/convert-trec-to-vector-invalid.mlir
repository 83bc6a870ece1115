// RUN: trec-opt %s --convert-trec-to-vector --split-input-file --verify-diagnostics

#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @no_lowering(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-error @below {{expected a lowering, such as trec-select-lowering writes}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning : !kjt, !keyed
  return %0 : !keyed
}

// -----

#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [16], f32>
trec.table @t : !trec.table<1000x16, int8, #layout>
func.func @no_lowering_of_rows(%kjt: !kjt, %dest: !dict) -> !dict {
  // expected-error @below {{expected a lowering, such as trec-select-lowering writes}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<16, int8, #layout> bounds warning : !kjt, !dict
  return %0 : !dict
}
