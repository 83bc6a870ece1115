// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Headers by way of memory: what one instruction converts is stored, and all lanes load a number from there. Each row of a
// step has room of its own, made before all loops.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [8], f32>
trec.table @t : !trec.table<1000x8, int8, #layout>
func.func @steps(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<8, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, rows_at_once = 4, header = memory> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int8x8_align16_f32_i32(
// CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i32)
// CHECK: %[[A:.*]] = llvm.alloca %[[ONE]] x vector<4xf32> {alignment = 16 : i64}
// CHECK: %[[B:.*]] = llvm.alloca
// CHECK: %[[C:.*]] = llvm.alloca
// CHECK: %[[D:.*]] = llvm.alloca
// CHECK-NOT: llvm.alloca
// CHECK: scf.for
// CHECK: scf.for
// CHECK: scf.if
// CHECK: %[[BYTES:.*]] = vector.load {{.*}} : memref<?x16xi8>, vector<8xi8>
// CHECK: %[[HALVES:.*]] = vector.bitcast %[[BYTES]] : vector<8xi8> to vector<4xf16>
// CHECK: %[[HEADER:.*]] = arith.extf %[[HALVES]]
// CHECK-NEXT: llvm.store %[[HEADER]], %[[A]] {alignment = 16 : i64}
// CHECK: %[[SCALE_AT:.*]] = llvm.getelementptr %[[A]][0]
// CHECK: %[[SCALE:.*]] = llvm.inline_asm asm_dialect = att operand_attrs = [{elementtype = f32}] "vbroadcastss $1, $0", "=v,*m" %[[SCALE_AT]] : (!llvm.ptr) -> vector<8xf32>
// CHECK: %[[BIAS_AT:.*]] = llvm.getelementptr %[[A]][1]
// CHECK: %[[BIAS:.*]] = llvm.inline_asm {{.*}} %[[BIAS_AT]]
// CHECK: %[[SUM:.*]] = arith.addf %{{.*}}, %[[BIAS]]
// CHECK: math.fma %{{.*}}, %[[SCALE]], %[[SUM]]
// CHECK: llvm.store %{{.*}}, %[[B]]
// CHECK: llvm.store %{{.*}}, %[[C]]
// CHECK: llvm.store %{{.*}}, %[[D]]
// So has one of a step that goes row by row, and one behind the steps; the loops for short bags and for bags of one id store
// none.
// CHECK: llvm.store
// CHECK: llvm.store
// CHECK-NOT: llvm.store
// CHECK-LABEL: func.func private @bag_sum_int8x8_align16_f32_i64(

// -----

// A header with a weight is stored as the products; a row of six bytes is not read past its end.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["f"], [4], f32>
trec.table @t : !trec.table<1000x4, int4, #layout>
func.func @weighted(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum weighted %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<4, int4, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, unpack = spread, header = memory> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_weighted_sum_int4x4_align1_f32_i32(
// CHECK: llvm.alloca {{.*}} x vector<2xf32>
// CHECK: vector.load {{.*}} : memref<?x6xi8>, vector<4xi8>
// CHECK: %[[PRODUCTS:.*]] = arith.mulf %{{.*}} : vector<2xf32>
// CHECK-NEXT: llvm.store %[[PRODUCTS]]
// CHECK-COUNT-2: llvm.inline_asm

// -----

// Certified sums need the scale alone in all lanes; two lanes have no register of their own.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
!few = !trec.keyed_tensor<["f"], [2], f32>
trec.table @t : !trec.table<1000x64, int2, #layout>
trec.table @two : !trec.table<1000x2, int8, #layout>
func.func @certified(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<64, int2, #layout> bounds warning
    lowering <vector_width = 16, accumulators = 8, prefetch_distance = 0, header = memory, certified = row_pairs> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: func.func private @bag_sum_int2x64_align16_f32_i32(
// CHECK-COUNT-2: llvm.inline_asm
// CHECK-NOT: llvm.inline_asm
// CHECK: math.fma
func.func @two_lanes(%kjt: !kjt, %dest: !few) -> !few {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@two, "f", 0>]
    rows !trec.row<2, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0, header = memory> : !kjt, !few
  return %0 : !few
}
// CHECK-LABEL: func.func private @bag_sum_int8x2_align16_f32_i32(
// CHECK-NOT: llvm.inline_asm
// CHECK: return
