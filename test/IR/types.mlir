// RUN: trec-opt %s --verify-roundtrip | FileCheck %s

// Every type in all its forms.

#int = #trec.row_layout<header = f16>
#padded = #trec.row_layout<header = f16, align = 16>
#float = #trec.row_layout<header = none>
#float_padded = #trec.row_layout<header = none, align = 16>

// CHECK-DAG: #[[INT:layout[0-9]*]] = #trec.row_layout<header = f16>
// CHECK-DAG: #[[PADDED:layout[0-9]*]] = #trec.row_layout<header = f16, align = 16>
// CHECK-DAG: #[[FLOAT:layout[0-9]*]] = #trec.row_layout<header = none>
// CHECK-DAG: #[[FLOAT_PADDED:layout[0-9]*]] = #trec.row_layout<header = none, align = 16>

// Long types have an alias.
// CHECK-DAG: ![[KJT:kjt[0-9]*]] = !trec.kjt<["a"]>
// CHECK-DAG: ![[KJTS:kjt[0-9]*]] = !trec.kjt<["a", "b \22quoted\22\0A"], weighted>
// CHECK-DAG: ![[KEYED:keyed[0-9]*]] = !trec.keyed_tensor<["a"], [1], f32>
// CHECK-DAG: ![[KEYEDS:keyed[0-9]*]] = !trec.keyed_tensor<["a", "a"], [128, 64], f16>
// CHECK-DAG: ![[DICTS:dict[0-9]*]] = !trec.jagged_dict<["a", "b"], [4, 8], f32>
// CHECK-DAG: ![[DICT:dict[0-9]*]] = !trec.jagged_dict<["a"], [4], f16>
// CHECK-DAG: ![[DICTB:dict[0-9]*]] = !trec.jagged_dict<["a"], [4], bf16>
// CHECK-DAG: ![[DICTI:dict[0-9]*]] = !trec.jagged_dict<["a"], [67108864], i8>
// CHECK-DAG: ![[KEYEDB:keyed[0-9]*]] = !trec.keyed_tensor<["a"], [16777216], bf16>

// CHECK: func.func private @kjt(![[KJT]], ![[KJTS]])
func.func private @kjt(!trec.kjt<["a"]>, !trec.kjt<["a", "b \"quoted\"\n"], weighted>)

// CHECK: func.func private @keyed_tensor() -> (![[KEYED]], ![[KEYEDS]], ![[KEYEDB]])
func.func private @keyed_tensor() -> (
  !trec.keyed_tensor<["a"], [1], f32>, !trec.keyed_tensor<["a", "a"], [128, 64], f16>,
  !trec.keyed_tensor<["a"], [16777216], bf16>)

// CHECK: func.func private @jagged_dict() -> (![[DICTS]], ![[DICT]], ![[DICTB]], ![[DICTI]])
func.func private @jagged_dict() -> (
  !trec.jagged_dict<["a", "b"], [4, 8], f32>, !trec.jagged_dict<["a"], [4], f16>,
  !trec.jagged_dict<["a"], [4], bf16>, !trec.jagged_dict<["a"], [67108864], i8>)

// CHECK: func.func private @jagged(!trec.jagged<index>, !trec.jagged<f32>)
func.func private @jagged(!trec.jagged<index>, !trec.jagged<f32>)

// CHECK: func.func private @jagged_rows(!trec.jagged<vector<4xf32>>, !trec.jagged<vector<4xf16>>,
// CHECK-SAME: !trec.jagged<vector<4xbf16>>, !trec.jagged<vector<20xi8>>, !trec.jagged<!trec.dequantized<4>>)
func.func private @jagged_rows(
  !trec.jagged<vector<4xf32>>, !trec.jagged<vector<4xf16>>, !trec.jagged<vector<4xbf16>>,
  !trec.jagged<vector<20xi8>>, !trec.jagged<!trec.dequantized<4>>)

// CHECK: func.func private @rows(!trec.row<128, int8, #[[PADDED]]>, !trec.row<1, int4, #[[INT]]>,
// CHECK-SAME: !trec.row<7, int2, #[[INT]]>, !trec.row<3, fp16, #[[FLOAT]]>, !trec.row<3, fp32, #[[FLOAT_PADDED]]>,
// CHECK-SAME: !trec.row<3, bf16, #[[FLOAT]]>, !trec.row<3, fp8, #[[FLOAT_PADDED]]>)
func.func private @rows(
  !trec.row<128, int8, #padded>, !trec.row<1, int4, #int>, !trec.row<7, int2, #int>,
  !trec.row<3, fp16, #float>, !trec.row<3, fp32, #float_padded>, !trec.row<3, bf16, #float>,
  !trec.row<3, fp8, #float_padded>)

// CHECK: func.func private @tables(!trec.table<?x64, int8, #[[PADDED]]>, !trec.table<0x16, fp32, #[[FLOAT]]>,
// CHECK-SAME: !trec.table<10000000000x1, int2, #[[INT]]>)
func.func private @tables(
  !trec.table<?x64, int8, #padded>, !trec.table<0x16, fp32, #float>, !trec.table<10000000000x1, int2, #int>)

// CHECK: func.func private @tensors(!groups, !groups1)
func.func private @tensors(
  !trec.tensor_dict<["dense", "user"], [192, 64], f32>, !trec.tensor_dict<["odd name"], [16777217], bf16>)
