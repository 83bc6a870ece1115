// RUN: trec-opt %s --convert-trec-to-gpu --split-input-file --verify-diagnostics

// convert-trec-to-gpu C1: none.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @no_lowering(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-error @below {{expected a gpu_lowering: run trec-select-gpu-lowering before this pass}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 2, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}

// -----

// convert-trec-to-gpu C2: blocks of two sizes.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f", "f"], [8, 8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @two_sizes(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-note @below {{the first group has #trec.gpu_lowering_config<lanes = 2, units_per_lane = 1, rows_in_flight = 8>}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8> : !kjt, !keyed
  // expected-error @below {{expected the warps, blocks_per_sm, few_blocks_per_sm and numerics of the first group, got #trec.gpu_lowering_config<lanes = 2, units_per_lane = 1, rows_in_flight = 8, warps = 8>}}
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 8>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8, warps = 8> : !kjt, !keyed
  return %1 : !keyed
}

// -----

// convert-trec-to-gpu C2: two kinds of numbers.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f", "f"], [8, 8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @two_numerics(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-note @below {{the first group has}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8> : !kjt, !keyed
  // expected-error @below {{expected the warps, blocks_per_sm, few_blocks_per_sm and numerics of the first group}}
  %1 = trec.embedding_bag_group mean %kjt into %0 [#trec.bag<@t, "f", 8>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8, numerics = cpu> : !kjt, !keyed
  return %1 : !keyed
}

// -----

// convert-trec-to-gpu C3: stored rows.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [12], i8>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @stored(%kjt: !kjt, %dest: !dict) -> !dict {
  // expected-error @below {{expected an output of floats: stored rows are not handed out by GPUs}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8> : !kjt, !dict
  return %0 : !dict
}

// -----

// convert-trec-to-gpu C4: without pooling no row is added.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @unpooled(%kjt: !kjt, %dest: !dict) -> !dict {
  // expected-error @below {{expected no stages but for rows that are pooled in one pass, got 2}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 2, stages = 2> : !kjt, !dict
  return %0 : !dict
}

// -----

// convert-trec-to-gpu C4: a row of two passes.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [256], f32>
trec.table @t : !trec.table<1000x256, int8, #layout>
func.func @two_passes(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-error @below {{expected no stages but for rows that are pooled in one pass, got 4}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<256, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 2, rows_in_flight = 8, few_lanes = 32,
                                 few_units_per_lane = 1, few_rows_in_flight = 4, few_stages = 4> : !kjt, !keyed
  return %0 : !keyed
}

// -----

// convert-trec-to-gpu C5: four warps with 96 rows of 144 bytes each.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @large_stages(%kjt: !kjt, %dest: !keyed) -> !keyed {
  // expected-error @below {{expected stages of at most 49152 bytes for a block, got 55296}}
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 32, stages = 3> : !kjt, !keyed
  return %0 : !keyed
}

// -----

// convert-trec-to-gpu C6: no bags that could have parts.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @parts_of_ids(%kjt: !kjt, %dest: !dict) -> !dict {
  // expected-error @below {{expected no parts but of bags that are pooled, got 2}}
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<8, int8, #layout>
    bounds warning gpu_lowering <lanes = 2, units_per_lane = 1, rows_in_flight = 8, numerics = relaxed, bag_parts = 2> : !kjt, !dict
  return %0 : !dict
}
