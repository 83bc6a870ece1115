// RUN: trec-opt %s --convert-trec-to-vector --verify-roundtrip | FileCheck %s

// The kernel of INT8 rows, line by line, and the example of the pass.

#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["f", "g"], [16, 16], f32>
trec.table @t : !trec.table<1000x16, int8, #layout>
trec.table @u : !trec.table<?x16, int8, #layout>

// CHECK-LABEL: func.func @forward(
// CHECK-SAME: %[[KJT:.*]]: !kjt, %[[DEST:.*]]: !keyed
// CHECK-NEXT: %[[OUT:.*]] = trec.dispatch @bag_sum_int8x16_align16_f32_i32, @bag_sum_int8x16_align16_f32_i64(%[[KJT]])
// CHECK-SAME: into %[[DEST]] [#trec.bag<@t, "f", 0>, #trec.bag<@u, "g", 16>] bounds warning
// CHECK-NEXT: return %[[OUT]]
func.func @forward(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>, #trec.bag<@u, "g", 16>]
    rows !trec.row<16, int8, #layout> bounds warning
    lowering <vector_width = 8, accumulators = 8, prefetch_distance = 0> : !kjt, !keyed
  return %0 : !keyed
}

// CHECK-LABEL: func.func private @bag_sum_int8x16_align16_f32_i32(
// CHECK-SAME: %[[ROWS:[^:]*]]: memref<?x32xi8>, %[[IDS:[^:]*]]: memref<?xi32>, %[[OFFSETS:[^:]*]]: memref<?xi64>,
// CHECK-SAME: %[[WEIGHTS:[^:]*]]: memref<?xf32>, %[[OUTPUT:[^:]*]]: memref<?x16xf32, strided<[?, 1]>>,
// CHECK-SAME: %[[REPORT:[^:]*]]: memref<2xi64>, %[[REMAP:[^:]*]]: memref<?xi32>, %[[NUM_IDS:[^:]*]]: index, %[[CERTIFIED:[^:]*]]: index, %[[OFFSET:[^:]*]]: f32, %[[FAR:[^:]*]]: index, %[[STREAMS:[^:]*]]: index, %[[ONE_ID:[^:]*]]: index, %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index)
// CHECK: %[[NUM_ROWS:.*]] = memref.dim %[[ROWS]]

// The bags.
// CHECK: scf.for %[[BAG:.*]] = %[[BEGIN]] to %[[END]] step
// CHECK: memref.load %[[OFFSETS]][%[[BAG]]]
// CHECK: memref.load %[[OFFSETS]][

// One accumulator for 8 columns, from +0, over the ids of a bag in order.
// CHECK: %[[NONE:.*]] = arith.constant dense<0.000000e+00> : vector<8xf32>
// CHECK: %[[POOLED:.*]]:2 = scf.for %[[POSITION:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[ACC0:.*]] = %[[NONE]], %[[ACC1:.*]] = %[[NONE]]) -> (vector<8xf32>, vector<8xf32>)
// CHECK-NOT: memref.prefetch

// An id in bounds; else it is skipped where it is -1, and row 0 where it is bad.
// CHECK: %[[STORED:.*]] = memref.load %[[IDS]][%[[POSITION]]] : memref<?xi32>
// CHECK: %[[ID:.*]] = arith.index_cast %[[STORED]] : i32 to index
// CHECK: %[[GOOD:.*]] = arith.cmpi ult, %[[ID]], %[[NUM_ROWS]] : index
// CHECK: %[[ROW:.*]]:2 = scf.if %[[GOOD]] -> (index, i1) {
// CHECK:   scf.yield %[[ID]], %true
// CHECK: } else {
// CHECK:   %[[SKIPPED:.*]] = arith.constant -1 : index
// CHECK:   %[[BAD:.*]] = arith.cmpi ne, %[[ID]], %[[SKIPPED]]
// CHECK:   scf.if %[[BAD]] {
// CHECK:     %[[COUNT:.*]] = memref.load %[[REPORT]]
// CHECK:     arith.addi %[[COUNT]]
// CHECK:     memref.store %{{.*}}, %[[REPORT]]
// CHECK:     arith.minsi
// CHECK:     memref.store %{{.*}}, %[[REPORT]]
// CHECK:   }
// CHECK:   %[[ZERO:.*]] = arith.constant 0 : index
// CHECK:   %[[SAFE:.*]] = arith.select %[[BAD]], %[[ZERO]], %{{.*}} : index
// CHECK:   scf.yield %[[SAFE]], %[[BAD]]

// acc + bias, then fma(q, scale, acc).
// That it is a row is likely: its code is laid out in the line of the loop.
// CHECK: %[[LIKELY:.*]] = llvm.intr.expect %[[ROW]]#1, %{{.*}} : i1
// CHECK: scf.if %[[LIKELY]] -> (vector<8xf32>, vector<8xf32>)
// CHECK: %[[HEADER:.*]] = vector.load %[[ROWS]][%[[ROW]]#0, %{{.*}}] : memref<?x32xi8>, vector<8xi8>
// CHECK: %[[HALVES:.*]] = vector.bitcast %[[HEADER]] : vector<8xi8> to vector<4xf16>
// CHECK: %[[FLOATS:.*]] = arith.extf %[[HALVES]] : vector<4xf16> to vector<4xf32>
// CHECK: %[[SCALE:.*]] = vector.extract %[[FLOATS]][0]
// CHECK: %[[SCALES:.*]] = vector.broadcast %[[SCALE]]
// CHECK: %[[BIAS:.*]] = vector.extract %[[FLOATS]][1]
// CHECK: %[[BIASES:.*]] = vector.broadcast %[[BIAS]]
// CHECK: %[[BYTE:.*]] = arith.constant 4 : index
// CHECK: %[[BYTES:.*]] = vector.load %[[ROWS]][%[[ROW]]#0, %[[BYTE]]] : memref<?x32xi8>, vector<8xi8>
// CHECK: %[[WIDE:.*]] = arith.extui %[[BYTES]] : vector<8xi8> to vector<8xi32>
// CHECK: %[[CODES:.*]] = arith.sitofp %[[WIDE]] : vector<8xi32> to vector<8xf32>
// CHECK: %[[BIASED:.*]] = arith.addf %[[ACC0]], %[[BIASES]]
// CHECK: %[[SUM0:.*]] = math.fma %[[CODES]], %[[SCALES]], %[[BIASED]]
// CHECK: arith.constant 12 : index
// CHECK: arith.addf %[[ACC1]],
// CHECK: %[[SUM1:.*]] = math.fma
// CHECK: scf.yield %[[SUM0]], %[[SUM1]]
// CHECK: else
// CHECK: scf.yield %[[ACC0]], %[[ACC1]]

// No conversion and no mean: the sums are the output.
// CHECK: %[[COLUMN0:.*]] = arith.constant 0 : index
// CHECK: vector.store %[[POOLED]]#0, %[[OUTPUT]][%[[BAG]], %[[COLUMN0]]] : memref<?x16xf32, strided<[?, 1]>>, vector<8xf32>
// CHECK: %[[COLUMN8:.*]] = arith.constant 8 : index
// CHECK: vector.store %[[POOLED]]#1, %[[OUTPUT]][%[[BAG]], %[[COLUMN8]]]

// CHECK-LABEL: func.func private @bag_sum_int8x16_align16_f32_i64(
// CHECK-SAME: memref<?x32xi8>, %{{.*}}: memref<?xi64>, %{{.*}}: memref<?xi64>
// CHECK: memref.load %{{.*}} : memref<?xi64>
// CHECK: arith.index_cast %{{.*}} : i64 to index
