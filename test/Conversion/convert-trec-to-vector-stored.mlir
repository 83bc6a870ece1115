// RUN: trec-opt %s --convert-trec-to-vector --split-input-file | FileCheck %s

// Stored rows as outputs: header and codes are copied, the padding is not, and
// an id without a row gives zeros. The last vector overlaps the one before it.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [76], i8>
trec.table @t : !trec.table<1000x72, int8, #layout>
func.func @rows(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<72, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 3> : !kjt, !dict
  return %0 : !dict
}
// CHECK: trec.dispatch @rows_int8x72_align16_i8_i32, @rows_int8x72_align16_i8_i64(
// CHECK-LABEL: func.func private @rows_int8x72_align16_i8_i32(
// CHECK-SAME: %[[ROWS:[^:]*]]: memref<?x80xi8>
// CHECK-SAME: %[[OUTPUT:[^:]*]]: memref<?x76xi8, strided<[?, 1]>>
// CHECK-SAME: %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index)
// CHECK: scf.for %[[POSITION:.*]] = %[[BEGIN]] to %[[END]]
// CHECK: %[[ROW:.*]] = arith.subi %[[POSITION]]
// CHECK: memref.prefetch
// CHECK: scf.if %[[FOUND:.*]]#1 {
// CHECK: %[[C0:.*]] = arith.constant 0 : index
// CHECK: %[[V0:.*]] = vector.load %[[ROWS]][%[[FOUND]]#0, %[[C0]]] : memref<?x80xi8>, vector<32xi8>
// CHECK: vector.store %[[V0]], %[[OUTPUT]][%[[ROW]], %[[C0]]]
// CHECK: %[[C32:.*]] = arith.constant 32 : index
// CHECK: %[[V1:.*]] = vector.load %[[ROWS]][%[[FOUND]]#0, %[[C32]]]
// CHECK: vector.store %[[V1]], %[[OUTPUT]][%[[ROW]], %[[C32]]]
// CHECK: %[[C44:.*]] = arith.constant 44 : index
// CHECK: %[[V2:.*]] = vector.load %[[ROWS]][%[[FOUND]]#0, %[[C44]]]
// CHECK: vector.store %[[V2]], %[[OUTPUT]][%[[ROW]], %[[C44]]]
// CHECK: } else {
// CHECK: %[[ZEROS:.*]] = arith.constant dense<0> : vector<32xi8>
// CHECK-COUNT-3: vector.store %[[ZEROS]], %[[OUTPUT]][%[[ROW]],
// CHECK-NOT: arith.addf
// CHECK: return

// -----

// A row that is narrower than a vector: 5 bytes by 4.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [5], i8>
trec.table @t : !trec.table<1000x1, int8, #layout>
func.func @narrow(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<1, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !dict
  return %0 : !dict
}
// CHECK-LABEL: func.func private @rows_int8x1_align1_i8_i32(
// CHECK-COUNT-2: vector.load %{{.*}} : memref<?x5xi8>, vector<4xi8>
// CHECK-NOT: vector.load
// CHECK: } else {

// -----

// Of many vectors, blocks of 8 are copied in a loop: 644 bytes by 32 are two
// blocks, and 132 bytes behind them.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!dict = !trec.jagged_dict<["f"], [644], i8>
trec.table @t : !trec.table<1000x640, int8, #layout>
func.func @wide(%kjt: !kjt, %dest: !dict) -> !dict {
  %0 = trec.embedding_group %kjt into %dest [#trec.bag<@t, "f", 0>]
    rows !trec.row<640, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !dict
  return %0 : !dict
}
// CHECK-LABEL: func.func private @rows_int8x640_align1_i8_i32(
// CHECK: scf.if %{{.*}}#1 {
// CHECK: %[[END:.*]] = arith.constant 512 : index
// CHECK: %[[STEP:.*]] = arith.constant 256 : index
// CHECK: scf.for %[[BYTE:.*]] = %{{.*}} to %[[END]] step %[[STEP]] {
// CHECK-COUNT-8: vector.load
// CHECK: }
// CHECK-COUNT-5: vector.load
// CHECK-NOT: vector.load
// CHECK: } else {
// CHECK: scf.for
// CHECK: return
