// RUN: trec-opt %s --split-input-file --verify-diagnostics

// #trec.row_layout C1: no alignment.
// expected-error @below {{expected a row alignment of 1 to 65536 bytes, got 0}}
module attributes {trec.bad = #trec.row_layout<header = f16, align = 0>} {}

// -----

// #trec.row_layout C1: too much of it.
// expected-error @below {{expected a row alignment of 1 to 65536 bytes, got 65537}}
module attributes {trec.bad = #trec.row_layout<header = f16, align = 65537>} {}

// -----

// expected-error @below {{expected ::mlir::trec::HeaderType to be one of: none, f16}}
// expected-error @below {{failed to parse Trec_RowLayoutAttr parameter 'header'}}
module attributes {trec.bad = #trec.row_layout<header = f32>} {}

// -----

// expected-error @below {{expected ::mlir::trec::Pooling to be one of: sum, mean}}
// expected-error @below {{failed to parse}}
module attributes {trec.bad = #trec.pooling<max>} {}

// -----

// expected-error @below {{expected ::mlir::trec::BoundsPolicy to be one of: fatal, warning, ignore, none}}
// expected-error @below {{failed to parse}}
module attributes {trec.bad = #trec.bounds<clamp>} {}

// -----

// #trec.bag C1: before the first column.
// expected-error @below {{expected a column of at least 0, got -1}}
module attributes {trec.bad = #trec.bag<@t, "f", -1>} {}

// -----

// #trec.map C1: a number of ids that an array has from its entries.
// expected-error @below {{expected a number of ids of a hash_table alone, got 10 of a map of kind 'array'}}
module attributes {trec.bad = #trec.map<array, ids = 10>} {}

// -----

// #trec.map C1: more ids than 32 bits have.
// expected-error @below {{expected 0 to 2147483648 ids, got 2147483649}}
module attributes {trec.bad = #trec.map<hash_table, ids = 2147483649>} {}

// -----

// #trec.map C1: fewer than none.
// expected-error @below {{expected 0 to 2147483648 ids, got -1}}
module attributes {trec.bad = #trec.map<hash_table, ids = -1>} {}

// -----

// expected-error @below {{expected ::mlir::trec::MapKind to be one of: array, hash_table, sorted}}
// expected-error @below {{failed to parse}}
module attributes {trec.bad = #trec.map<tree>} {}

// -----

// #trec.lowering_config C1: not a power of two.
// expected-error @below {{expected a vector width that is a power of two of at most 64, got 12}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 12, accumulators = 1, prefetch_distance = 0>} {}

// -----

// #trec.lowering_config C1: too wide.
// expected-error @below {{expected a vector width that is a power of two of at most 64, got 128}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 128, accumulators = 1, prefetch_distance = 0>} {}

// -----

// #trec.lowering_config C1: no lanes.
// expected-error @below {{expected a vector width that is a power of two of at most 64, got 0}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 0, accumulators = 1, prefetch_distance = 0>} {}

// -----

// #trec.lowering_config C2: no accumulators.
// expected-error @below {{expected 1 to 64 accumulators, got 0}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 0, prefetch_distance = 0>} {}

// -----

// #trec.lowering_config C2: too many.
// expected-error @below {{expected 1 to 64 accumulators, got 65}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 65, prefetch_distance = 0>} {}

// -----

// #trec.lowering_config C3: back in time.
// expected-error @below {{expected a prefetch distance of at least 0, got -1}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = -1>} {}

// -----

// #trec.lowering_config C3: far back in time.
// expected-error @below {{expected a far distance of at least 0, got -2}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_distance = -2>} {}

// -----

// #trec.lowering_config C4: negative.
// expected-error @below {{expected a far group of 0 or a power of two of at most 64 rows, got -1}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_group = -1>} {}

// -----

// #trec.lowering_config C4: not a power of two.
// expected-error @below {{expected a far group of 0 or a power of two of at most 64 rows, got 6}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_group = 6>} {}

// -----

// #trec.lowering_config C4: too many.
// expected-error @below {{expected a far group of 0 or a power of two of at most 64 rows, got 128}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_group = 128>} {}

// -----

// #trec.lowering_config C6: none.
// expected-error @below {{expected rows at once that are a power of two of at most 16, got 0}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, rows_at_once = 0>} {}

// -----

// #trec.lowering_config C6: not a power of two.
// expected-error @below {{expected rows at once that are a power of two of at most 16, got 3}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, rows_at_once = 3>} {}

// -----

// #trec.lowering_config C6: too many.
// expected-error @below {{expected rows at once that are a power of two of at most 16, got 32}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, rows_at_once = 32>} {}

// -----

// #trec.lowering_config C7: groups of the machine beside steps.
// expected-error @below {{expected a far group of 1 where rows are taken 2 at once, got 0}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_distance = 64, far_group = 0, rows_at_once = 2>} {}

// -----

// #trec.lowering_config C7: groups of both kinds.
// expected-error @below {{expected a far group of 1 where rows are taken 4 at once, got 2}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, far_distance = 64, far_group = 2, rows_at_once = 4>} {}

// -----

// #trec.lowering_config C8: negative.
// expected-error @below {{expected an output distance of at least 0, got -1}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, output_distance = -1>} {}

// -----

// #trec.lowering_config C9: without AVX.
// expected-error @below {{expected header = registers where half is integer, got memory}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 4, accumulators = 1, prefetch_distance = 0, header = memory, half = integer>} {}

// -----

// #trec.lowering_config C5: relaxed, but as it always is.
// expected-error @below {{expected a certified arithmetic other than in_order for relaxed numerics}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, numerics = relaxed>} {}

// -----

// expected-error @below {{expected one of [in_order, bias_once, row_pairs] for how rows of integer codes are added, got: none}}
// expected-error @below {{failed to parse}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, certified = none>} {}

// -----

// expected-error @below {{expected one of [cached, streaming] for how outputs are written, got: fast}}
// expected-error @below {{failed to parse}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1, prefetch_distance = 0, stores = fast>} {}

// -----

// expected-error @below {{struct is missing required parameter: prefetch_distance}}
module attributes {trec.bad = #trec.lowering_config<vector_width = 8, accumulators = 1>} {}

// -----

// #trec.bag C1: before the first batch.
// expected-error @below {{expected a batch of at least 0, got -1}}
module attributes {trec.bad = #trec.bag<@t, "f", 0, batch = -1>} {}

// -----

// #trec.bag C2: fewer ids than none.
// expected-error @below {{expected a length of 0 to 2147483647 ids, got -1}}
module attributes {trec.bad = #trec.bag<@t, "f", 0, length = -1>} {}

// -----

// #trec.bag C2: more ids than lengths of 32 bits can say.
// expected-error @below {{expected a length of 0 to 2147483647 ids, got 2147483648}}
module attributes {trec.bad = #trec.bag<@t, "f", 0, length = 2147483648>} {}

// -----

// #trec.bag C1: before the first output.
// expected-error @below {{expected an output of at least 0, got -2}}
module attributes {trec.bad = #trec.bag<@t, "f", 0, output = -2>} {}

// -----

// #trec.gpu_lowering_config C1: not a power of two.
// expected-error @below {{expected lanes that are a power of two of at most 32, got 12}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 12, units_per_lane = 1, rows_in_flight = 1>} {}

// -----

// #trec.gpu_lowering_config C1: more than a warp has.
// expected-error @below {{expected lanes that are a power of two of at most 32, got 64}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 64, units_per_lane = 1, rows_in_flight = 1>} {}

// -----

// #trec.gpu_lowering_config C2: none.
// expected-error @below {{expected 1 to 8 units per lane, got 0}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 0, rows_in_flight = 1>} {}

// -----

// #trec.gpu_lowering_config C2: too many.
// expected-error @below {{expected 1 to 8 units per lane, got 9}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 9, rows_in_flight = 1>} {}

// -----

// #trec.gpu_lowering_config C3: none.
// expected-error @below {{expected 1 to 32 rows in flight, got 0}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 0>} {}

// -----

// #trec.gpu_lowering_config C3: too many.
// expected-error @below {{expected 1 to 32 rows in flight, got 33}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 33>} {}

// -----

// #trec.gpu_lowering_config C4: not a power of two.
// expected-error @below {{expected warps that are a power of two of at most 32, got 3}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, warps = 3>} {}

// -----

// #trec.gpu_lowering_config C5: too many.
// expected-error @below {{expected 0 to 32 blocks per multiprocessor, got 33}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, blocks_per_sm = 33>} {}

// -----

// #trec.gpu_lowering_config C5: too many for few bags.
// expected-error @below {{expected 0 to 32 blocks per multiprocessor, got 40}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, few_blocks_per_sm = 40>} {}

// -----

// #trec.gpu_lowering_config C6: in part.
// expected-error @below {{expected 1 to 8 units per lane, got 0 for few bags}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, few_lanes = 32>} {}

// -----

// #trec.gpu_lowering_config C6: not a power of two.
// expected-error @below {{expected lanes that are a power of two of at most 32, got 3 for few bags}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, few_lanes = 3, few_units_per_lane = 1, few_rows_in_flight = 1>} {}

// -----

// #trec.gpu_lowering_config C6: stages alone.
// expected-error @below {{expected lanes that are a power of two of at most 32, got 0 for few bags}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, few_stages = 2>} {}

// -----

// #trec.gpu_lowering_config C7: one stage, where none would be in flight.
// expected-error @below {{expected 2 to 16 stages or none, got 1}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 8, stages = 1>} {}

// -----

// #trec.gpu_lowering_config C7: more rows than lanes that hold ids.
// expected-error @below {{expected an even number of rows in a stage, at most one for each of 4 lanes, got 8 for few bags}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 8, few_lanes = 4, few_units_per_lane = 1, few_rows_in_flight = 8, few_stages = 2>} {}

// -----

// #trec.gpu_lowering_config C7: an odd number of rows.
// expected-error @below {{expected an even number of rows in a stage, at most one for each of 32 lanes, got 7}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 7, stages = 3>} {}

// -----

// #trec.gpu_lowering_config C8: not a power of two.
// expected-error @below {{expected parts of a bag that are a power of two, at most one for each 8 of 32 lanes, got 3}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 8, units_per_lane = 1, rows_in_flight = 4, numerics = relaxed, bag_parts = 3>} {}

// -----

// #trec.gpu_lowering_config C8: more lanes than a warp has.
// expected-error @below {{expected parts of a bag that are a power of two, at most one for each 16 of 32 lanes, got 4}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 16, units_per_lane = 1, rows_in_flight = 4, numerics = relaxed, bag_parts = 4>} {}

// -----

// #trec.gpu_lowering_config C8: parts, but sums in order.
// expected-error @below {{expected one part of a bag but for relaxed numerics without stages, got 2}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 8, units_per_lane = 1, rows_in_flight = 4, bag_parts = 2>} {}

// -----

// #trec.gpu_lowering_config C8: parts of what comes to stages.
// expected-error @below {{expected one part of a bag but for relaxed numerics without stages, got 2}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 8, units_per_lane = 1, rows_in_flight = 4, numerics = relaxed, stages = 2, bag_parts = 2>} {}

// -----

// expected-error @below {{expected one of [fbgemm, cpu, relaxed] for whose numbers a GPU computes, got: fast}}
// expected-error @below {{failed to parse}}
module attributes {trec.bad = #trec.gpu_lowering_config<lanes = 32, units_per_lane = 1, rows_in_flight = 1, numerics = fast>} {}
