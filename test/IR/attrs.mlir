// RUN: trec-opt %s --verify-roundtrip | FileCheck %s

// Every attribute in all its forms.

// CHECK-DAG: #[[PACKED:layout[0-9]*]] = #trec.row_layout<header = f16>
// CHECK-DAG: #[[PADDED:layout[0-9]*]] = #trec.row_layout<header = none, align = 65536>

// CHECK-LABEL: module @pooling attributes {trec.all = [#trec.pooling<sum>, #trec.pooling<mean>]}
module @pooling attributes {trec.all = [#trec.pooling<sum>, #trec.pooling<mean>]} {}

// CHECK-LABEL: module @bounds
// CHECK-SAME: [#trec.bounds<fatal>, #trec.bounds<warning>, #trec.bounds<ignore>, #trec.bounds<none>]
module @bounds attributes {trec.all = [
  #trec.bounds<fatal>, #trec.bounds<warning>, #trec.bounds<ignore>, #trec.bounds<none>]} {}

// The default alignment is not printed.
// CHECK-LABEL: module @row_layout
// CHECK-SAME: [#[[PACKED]], #[[PADDED]]]
module @row_layout attributes {trec.all = [
  #trec.row_layout<header = f16, align = 1>, #trec.row_layout<header = none, align = 65536>]} {}

// CHECK-LABEL: module @bag attributes {trec.all = [#trec.bag<@t, "f", 0>, #trec.bag<@"odd name", "", 1000>]}
module @bag attributes {trec.all = [#trec.bag<@t, "f", 0>, #trec.bag<@"odd name", "", 1000>]} {}

// CHECK-LABEL: module @bag_parameters
// CHECK-SAME: #trec.bag<@t, "f", 0, weights = @w>
// CHECK-SAME: #trec.bag<@t, "f", 0, remap = @"odd map">
// CHECK-SAME: #trec.bag<@t, "f", 0, weights = @w, remap = @m>
// CHECK-SAME: #trec.bag<@t, "f", 0, weights = @w, remap = @m>
module @bag_parameters attributes {trec.all = [
  #trec.bag<@t, "f", 0, weights = @w>, #trec.bag<@t, "f", 0, remap = @"odd map">,
  #trec.bag<@t, "f", 0, weights = @w, remap = @m>, #trec.bag<@t, "f", 0, remap = @m, weights = @w>]} {}

// All ids of 32 bits are not printed.
// CHECK-LABEL: module @map
// CHECK-SAME: [#trec.map<array>, #trec.map<hash_table, ids = 0>, #trec.map<hash_table>, #trec.map<sorted>]
module @map attributes {trec.all = [
  #trec.map<array>, #trec.map<hash_table, ids = 0>, #trec.map<hash_table, ids = 2147483648>, #trec.map<sorted>]} {}

// Parameters may be in any order; the defaults are not printed.
// CHECK-LABEL: module @lowering_config
// CHECK-SAME: #trec.lowering_config<vector_width = 64, accumulators = 1, prefetch_distance = 0>
// CHECK-SAME: #trec.lowering_config<vector_width = 1, accumulators = 64, prefetch_distance = 100, far_distance = 200, far_group = 64, unpack = lookup, fma = library, half = integer, certified = row_pairs, numerics = relaxed, stores = streaming>
// CHECK-SAME: certified = bias_once>
// CHECK-SAME: far_distance = 64, rows_at_once = 16, unpack = spread, header = memory, output_distance = 3>
// CHECK-SAME: far_distance = 64, far_group = 0>
module @lowering_config attributes {trec.all = [
  #trec.lowering_config<half = hardware, header = registers, vector_width = 64, accumulators = 1, prefetch_distance = 0>,
  #trec.lowering_config<vector_width = 1, accumulators = 64, prefetch_distance = 100, far_distance = 200, far_group = 64,
                        unpack = lookup, fma = library, half = integer, certified = row_pairs, numerics = relaxed, stores = streaming>,
  #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, certified = bias_once, numerics = fbgemm>,
  #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_distance = 64, far_group = 1,
                        rows_at_once = 16, unpack = spread, output_distance = 3, header = memory>,
  #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_distance = 64, far_group = 0>]} {}

// CHECK-LABEL: module @bag_places
// CHECK-SAME: #trec.bag<@t, "f", 0, batch = 1>
// CHECK-SAME: #trec.bag<@t, "f", 8, output = 2>
// CHECK-SAME: #trec.bag<@t, "f", 8, weights = @w, batch = 1, output = 2, bad_ids = repeated>
// CHECK-SAME: #trec.bag<@t, "f", 8>
// CHECK-SAME: #trec.bag<@t, "f", 8, length = 0>
// CHECK-SAME: #trec.bag<@t, "f", 8, batch = 1, length = 20>
module @bag_places attributes {trec.all = [
  #trec.bag<@t, "f", 0, batch = 1>, #trec.bag<@t, "f", 8, output = 2>,
  #trec.bag<@t, "f", 8, output = 2, bad_ids = repeated, batch = 1, weights = @w>,
  #trec.bag<@t, "f", 8, batch = 0, output = 0, bad_ids = counted>, #trec.bag<@t, "f", 8, length = 0>,
  #trec.bag<@t, "f", 8, length = 20, batch = 1>]} {}

// CHECK-LABEL: module @gpu_lowering_config
// CHECK-SAME: #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 8>
// CHECK-SAME: #trec.gpu_lowering_config<lanes = 1, units_per_lane = 8, rows_in_flight = 32, warps = 32, blocks_per_sm = 0, numerics = cpu>
// CHECK-SAME: #trec.gpu_lowering_config<lanes = 8, units_per_lane = 1, rows_in_flight = 2, few_lanes = 16, few_units_per_lane = 1, few_rows_in_flight = 16, stages = 2, few_stages = 16, few_blocks_per_sm = 5>
// CHECK-SAME: #trec.gpu_lowering_config<lanes = 4, units_per_lane = 1, rows_in_flight = 5, numerics = relaxed, evict_first = true, bag_parts = 8>
module @gpu_lowering_config attributes {trec.all = [
  #trec.gpu_lowering_config<warps = 4, lanes = 32, units_per_lane = 1, rows_in_flight = 8, blocks_per_sm = 8, numerics = fbgemm>,
  #trec.gpu_lowering_config<lanes = 1, units_per_lane = 8, rows_in_flight = 32, warps = 32, blocks_per_sm = 0, numerics = cpu>,
  #trec.gpu_lowering_config<lanes = 8, units_per_lane = 1, rows_in_flight = 2, stages = 2, few_lanes = 16, few_units_per_lane = 1,
                            few_rows_in_flight = 16, few_blocks_per_sm = 5, few_stages = 16>,
  #trec.gpu_lowering_config<lanes = 4, units_per_lane = 1, rows_in_flight = 5, bag_parts = 8, numerics = relaxed, evict_first = true>]} {}
