// What the contract accepts, unchanged. `verify-import-contract-invalid.mlir`
// has what it refuses.

// RUN: trec-opt --trec-verify-import-contract --split-input-file %s | FileCheck %s

// A table used by two keys, one key in two tables, ids taken once for both.

#int8 = #trec.row_layout<header = f16, align = 16>
#float = #trec.row_layout<header = none, align = 16>
!kjt = !trec.kjt<["a", "b", "unused"]>
!keyed = !trec.keyed_tensor<["a@t", "a@u", "b"], [8, 3, 8], f32>

// CHECK-LABEL: module @plain
module @plain attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x8, int8, #int8>
  trec.table @u : !trec.table<?x3, fp32, #float>
  // CHECK: func.func @forward
  func.func @forward(%kjt: !kjt) -> !keyed {
    %a = trec.feature %kjt "a" : !kjt
    %b = trec.feature %kjt "b" : !kjt
    %0 = trec.check_bounds ignore %a in @t
    %1 = trec.lookup @t[%0] : <!trec.row<8, int8, #int8>>
    %2 = trec.dequantize %1 : <!trec.row<8, int8, #int8>>
    %3 = trec.pool sum %2 : <!trec.dequantized<8>>
    %4 = trec.check_bounds ignore %a in @u
    %5 = trec.lookup @u[%4] : <!trec.row<3, fp32, #float>>
    %6 = trec.dequantize %5 : <!trec.row<3, fp32, #float>>
    %7 = trec.pool mean %6 : <!trec.dequantized<3>>
    %8 = trec.check_bounds ignore %b in @t
    %9 = trec.lookup @t[%8] : <!trec.row<8, int8, #int8>>
    %10 = trec.dequantize %9 : <!trec.row<8, int8, #int8>>
    %11 = trec.pool sum %10 : <!trec.dequantized<8>>
    // CHECK: trec.keyed_tensor
    %12 = trec.keyed_tensor %3, %7, %11 : (tensor<?x8xf32>, tensor<?x3xf32>, tensor<?x8xf32>) -> !keyed
    return %12 : !keyed
  }
}

// -----

// Weighted, with a cast of the output.

#float = #trec.row_layout<header = none>
!kjt = !trec.kjt<["a"], weighted>
!keyed = !trec.keyed_tensor<["a"], [4], bf16>

// CHECK-LABEL: module @weighted
module @weighted attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp16, #float>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %0 = trec.feature %kjt "a" : !kjt
    %1 = trec.check_bounds fatal %0 in @t
    %2 = trec.lookup @t[%1] : <!trec.row<4, fp16, #float>>
    %3 = trec.dequantize %2 : <!trec.row<4, fp16, #float>>
    %4 = trec.sample_weights %kjt "a" : !kjt
    // CHECK: trec.weight
    %5 = trec.weight %3 by %4 : <!trec.dequantized<4>>
    %6 = trec.pool mean %5 : <!trec.dequantized<4>>
    // CHECK: trec.cast_output
    %7 = trec.cast_output %6 : tensor<?x4xf32> -> tensor<?x4xbf16>
    %8 = trec.keyed_tensor %7 : (tensor<?x4xbf16>) -> !keyed
    return %8 : !keyed
  }
}

// -----

// Weights by position, made once for the two tables of their feature; a map.

#float = #trec.row_layout<header = none>
!kjt = !trec.kjt<["a"]>
!keyed = !trec.keyed_tensor<["a@t", "a@u"], [4, 3], f32>

// CHECK-LABEL: module @parameters
module @parameters attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, bf16, #float>
  trec.table @u : !trec.table<?x3, fp8, #float>
  // CHECK: trec.parameter @p : tensor<20xf32>
  trec.parameter @p : tensor<20xf32>
  trec.parameter @m maps <array> : tensor<100xi32>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %0 = trec.feature %kjt "a" : !kjt
    // CHECK: trec.position_weights
    %1 = trec.position_weights %0 from @p
    %2 = trec.check_bounds ignore %0 in @t
    %3 = trec.lookup @t[%2] : <!trec.row<4, bf16, #float>>
    %4 = trec.dequantize %3 : <!trec.row<4, bf16, #float>>
    %5 = trec.weight %4 by %1 : <!trec.dequantized<4>>
    %6 = trec.pool sum %5 : <!trec.dequantized<4>>
    // CHECK: trec.check_bounds ignore %{{.*}} in @m
    %7 = trec.check_bounds ignore %0 in @m
    // CHECK: trec.remap
    %8 = trec.remap %7 by @m
    %9 = trec.lookup @u[%8] : <!trec.row<3, fp8, #float>>
    %10 = trec.dequantize %9 : <!trec.row<3, fp8, #float>>
    %11 = trec.weight %10 by %1 : <!trec.dequantized<3>>
    %12 = trec.pool mean %11 : <!trec.dequantized<3>>
    %13 = trec.keyed_tensor %6, %12 : (tensor<?x4xf32>, tensor<?x3xf32>) -> !keyed
    return %13 : !keyed
  }
}

// -----

// Rows that are not pooled, one of them of a pruned table.

#float = #trec.row_layout<header = none>
!kjt = !trec.kjt<["a", "b"]>
!dict = !trec.jagged_dict<["a", "b"], [4, 4], f16>

// CHECK-LABEL: module @sequences
module @sequences attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, fp32, #float>
  trec.parameter @m maps <array> : tensor<100xi32>
  func.func @forward(%kjt: !kjt) -> !dict {
    %0 = trec.feature %kjt "a" : !kjt
    %1 = trec.check_bounds warning %0 in @t
    %2 = trec.lookup @t[%1] : <!trec.row<4, fp32, #float>>
    %3 = trec.dequantize %2 : <!trec.row<4, fp32, #float>>
    // CHECK: trec.materialize
    %4 = trec.materialize %3 : <!trec.dequantized<4>> -> <vector<4xf16>>
    %5 = trec.feature %kjt "b" : !kjt
    %6 = trec.check_bounds warning %5 in @m
    %7 = trec.remap %6 by @m
    %8 = trec.lookup @t[%7] : <!trec.row<4, fp32, #float>>
    %9 = trec.dequantize %8 : <!trec.row<4, fp32, #float>>
    %10 = trec.materialize %9 : <!trec.dequantized<4>> -> <vector<4xf16>>
    // CHECK: trec.jagged_dict
    %11 = trec.jagged_dict %4, %10 : (!trec.jagged<vector<4xf16>>, !trec.jagged<vector<4xf16>>) -> !dict
    return %11 : !dict
  }
}

// -----

// Stored rows as they are.

#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["a"]>
!dict = !trec.jagged_dict<["a"], [8], i8>

// CHECK-LABEL: module @stored_rows
module @stored_rows attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<10x4, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !dict {
    %0 = trec.feature %kjt "a" : !kjt
    %1 = trec.check_bounds warning %0 in @t
    %2 = trec.lookup @t[%1] : <!trec.row<4, int8, #layout>>
    // CHECK: trec.stored_bytes
    %3 = trec.stored_bytes %2 : <!trec.row<4, int8, #layout>>
    %4 = trec.jagged_dict %3 : (!trec.jagged<vector<8xi8>>) -> !dict
    return %4 : !dict
  }
}
