// RUN: trec-opt %s --split-input-file --verify-diagnostics

// !trec.kjt C1: no key.
// expected-error @below {{expected at least one key}}
func.func private @f(!trec.kjt<[]>)

// -----

// !trec.kjt C2: an empty key.
// expected-error @below {{expected keys that are not empty}}
func.func private @f(!trec.kjt<["a", ""]>)

// -----

// !trec.kjt C2: a key twice.
// expected-error @below {{expected keys that differ, got "a" twice}}
func.func private @f(!trec.kjt<["a", "b", "a"]>)

// -----

// expected-error @below {{expected 'weighted'}}
func.func private @f(!trec.kjt<["a"], wieghted>)

// -----

// expected-error @below {{expected string}}
func.func private @f(!trec.kjt<[a]>)

// -----

// !trec.row C1: no columns.
// expected-error @below {{expected a dim from 1 to 16777216, got 0}}
func.func private @f(!trec.row<0, int8, #trec.row_layout<header = f16>>)

// -----

// !trec.row C1: too many columns.
// expected-error @below {{expected a dim from 1 to 16777216, got 16777217}}
func.func private @f(!trec.row<16777217, int8, #trec.row_layout<header = f16>>)

// -----

// !trec.row C2: integer rows without a header.
// expected-error @below {{expected rows of int4 to have header = f16, got none}}
func.func private @f(!trec.row<8, int4, #trec.row_layout<header = none>>)

// -----

// !trec.row C2: rows of floats with a header.
// expected-error @below {{expected rows of fp16 to have header = none, got f16}}
func.func private @f(!trec.row<8, fp16, #trec.row_layout<header = f16>>)

// -----

// !trec.row C3: fp32 rows of 5 bytes.
// expected-error @below {{expected rows of a multiple of 4 bytes for fp32, got 5 with align = 5}}
func.func private @f(!trec.row<1, fp32, #trec.row_layout<header = none, align = 5>>)

// -----

// !trec.row C3: fp16 rows of 9 bytes.
// expected-error @below {{expected rows of a multiple of 2 bytes for fp16, got 9 with align = 3}}
func.func private @f(!trec.row<4, fp16, #trec.row_layout<header = none, align = 3>>)

// -----

// expected-error @below {{expected ::mlir::trec::WeightsType to be one of: fp32, fp16, int8, int4, int2}}
// expected-error @below {{failed to parse Trec_RowType parameter 'weights'}}
func.func private @f(!trec.row<4, int3, #trec.row_layout<header = none>>)

// -----

// !trec.table C2: a row that is not legal.
// expected-error @below {{expected rows of int8 to have header = f16, got none}}
func.func private @f(!trec.table<10x8, int8, #trec.row_layout<header = none>>)

// -----

// !trec.table C3: 2^63 bytes.
// expected-error @below {{expected at most 768614336404564650 rows of 12 bytes, got 768614336404564651}}
func.func private @f(!trec.table<768614336404564651x8, int8, #trec.row_layout<header = f16>>)

// -----

// expected-error @below {{expected rows x dim, such as 1000x128}}
func.func private @f(!trec.table<10, int8, #trec.row_layout<header = f16>>)

// -----

// expected-error @below {{expected rows x dim, such as 1000x128}}
func.func private @f(!trec.table<10x?, int8, #trec.row_layout<header = f16>>)

// -----

// expected-error @below {{expected rows x dim, such as 1000x128}}
func.func private @f(!trec.table<10x8x4, int8, #trec.row_layout<header = f16>>)

// -----

// !trec.dequantized C1: no columns.
// expected-error @below {{expected a dim of at least 1, got -1}}
func.func private @f(!trec.dequantized<-1>)

// -----

// !trec.jagged C1: another integer.
// expected-error @below {{expected index, f32, a row, a dequantized row or a vector of f32, f16, bf16 or i8, got 'i64'}}
func.func private @f(!trec.jagged<i64>)

// -----

// !trec.jagged C1: a vector of another element.
// expected-error @below {{or a vector of f32, f16, bf16 or i8, got 'vector<4xf64>'}}
func.func private @f(!trec.jagged<vector<4xf64>>)

// -----

// !trec.jagged C1: a vector of another rank.
// expected-error @below {{or a vector of f32, f16, bf16 or i8, got 'vector<2x4xf32>'}}
func.func private @f(!trec.jagged<vector<2x4xf32>>)

// -----

// !trec.jagged C1: a vector of unknown length.
// expected-error @below {{or a vector of f32, f16, bf16 or i8, got 'vector<[4]xf32>'}}
func.func private @f(!trec.jagged<vector<[4]xf32>>)

// -----

// !trec.keyed_tensor C1: no key.
// expected-error @below {{expected one dim for each of at least one key, got 0 keys and 1 dims}}
func.func private @f(!trec.keyed_tensor<[], [4], f32>)

// -----

// !trec.keyed_tensor C1: a dim too few.
// expected-error @below {{expected one dim for each of at least one key, got 2 keys and 1 dims}}
func.func private @f(!trec.keyed_tensor<["a", "b"], [4], f32>)

// -----

// !trec.keyed_tensor C2: no columns.
// expected-error @below {{expected a dim from 1 to 16777216 for key "b", got 0}}
func.func private @f(!trec.keyed_tensor<["a", "b"], [4, 0], f32>)

// -----

// !trec.keyed_tensor C2: too many columns.
// expected-error @below {{expected a dim from 1 to 16777216 for key "a", got 16777217}}
func.func private @f(!trec.keyed_tensor<["a"], [16777217], f32>)

// -----

// !trec.keyed_tensor C3: another element.
// expected-error @below {{expected elements of f32, f16 or bf16, got 'f64'}}
func.func private @f(!trec.keyed_tensor<["a"], [4], f64>)

// -----

// !trec.keyed_tensor C3: stored rows.
// expected-error @below {{expected elements of f32, f16 or bf16, got 'i8'}}
func.func private @f(!trec.keyed_tensor<["a"], [4], i8>)

// -----

// !trec.jagged_dict C1: a dim too many.
// expected-error @below {{expected one dim for each of at least one key, got 1 keys and 2 dims}}
func.func private @f(!trec.jagged_dict<["a"], [4, 4], f32>)

// -----

// !trec.jagged_dict C2: no columns.
// expected-error @below {{expected a dim from 1 to 16777216 for key "a", got -4}}
func.func private @f(!trec.jagged_dict<["a"], [-4], f32>)

// -----

// !trec.jagged_dict C2: too many bytes.
// expected-error @below {{expected a dim from 1 to 67108864 for key "a", got 67108865}}
func.func private @f(!trec.jagged_dict<["a"], [67108865], i8>)

// -----

// !trec.jagged_dict C3: another element.
// expected-error @below {{expected elements of f32, f16, bf16 or i8, got 'i16'}}
func.func private @f(!trec.jagged_dict<["a"], [4], i16>)

// -----

// !trec.tensor_dict C1: a dim too many.
// expected-error @below {{expected one dim for each of at least one key, got 1 keys and 2 dims}}
func.func private @f(!trec.tensor_dict<["a"], [4, 4], f32>)

// -----

// !trec.tensor_dict C2: no columns.
// expected-error @below {{expected a dim of at least 1 for key "a", got 0}}
func.func private @f(!trec.tensor_dict<["a"], [0], f32>)

// -----

// !trec.tensor_dict C3: another element.
// expected-error @below {{expected elements of f32, f16 or bf16, got 'f64'}}
func.func private @f(!trec.tensor_dict<["a"], [4], f64>)

// -----

// !trec.tensor_dict C4: two tensors of one name.
// expected-error @below {{expected keys that differ, got "a" twice}}
func.func private @f(!trec.tensor_dict<["a", "a"], [4, 4], f32>)
