// RUN: trec-opt %s --trec-emit-kernel-entries | FileCheck %s
// RUN: trec-opt %s --trec-emit-kernel-entries=suffix=.v3 | FileCheck %s --check-prefix=SUFFIX

#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["ad", "user", "idle"]>
!keyed = !trec.keyed_tensor<["x", "y", "z"], [8, 16, 16], f16>
!rows8 = memref<?x16xi8>
!rows16 = memref<?x8xi8>
!out8 = memref<?x8xf16, strided<[?, 1]>>
!out16 = memref<?x16xf16, strided<[?, 1]>>

module @sparse attributes {trec.contract = 1 : i32} {
  trec.table @ads : !trec.table<1000x16, int2, #trec.row_layout<header = f16>>
  trec.table @users : !trec.table<?x8, int8, #layout>
  trec.parameter @decay : tensor<20xf32>
  trec.parameter @pruned maps <array> : tensor<500xi32>
  trec.parameter @slots maps <hash_table, ids = 70> : tensor<?x2xi32>
  trec.parameter @pairs maps <sorted> : tensor<9x2xi64>

  func.func private @a_i32(%0: !rows8, %1: memref<?xi32>, %2: memref<?xi64>, %3: memref<?xf32>, %4: !out8,
                           %5: memref<2xi64>, %6: memref<?xi32>, %7: index, %8: index, %9: f32, %10: index, %11: index, %12: index, %13: index, %14: index) { return }
  func.func private @a_i64(%0: !rows8, %1: memref<?xi64>, %2: memref<?xi64>, %3: memref<?xf32>, %4: !out8,
                           %5: memref<2xi64>, %6: memref<?xi32>, %7: index, %8: index, %9: f32, %10: index, %11: index, %12: index, %13: index, %14: index) { return }
  func.func private @b_i32(%0: !rows16, %1: memref<?xi32>, %2: memref<?xi64>, %3: memref<?xf32>, %4: !out16,
                           %5: memref<2xi64>, %6: memref<?xi32>, %7: index, %8: index, %9: f32, %10: index, %11: index, %12: index, %13: index, %14: index) { return }
  func.func private @b_i64(%0: !rows16, %1: memref<?xi64>, %2: memref<?xi64>, %3: memref<?xf32>, %4: !out16,
                           %5: memref<2xi64>, %6: memref<?xi32>, %7: index, %8: index, %9: f32, %10: index, %11: index, %12: index, %13: index, %14: index) { return }

  func.func @forward(%kjt: !kjt) -> !keyed {
    %0 = trec.empty : !keyed
    %1 = trec.dispatch @b_i32, @b_i64(%kjt) into %0 [#trec.bag<@ads, "ad", 8, weights = @decay>, #trec.bag<@ads, "user", 24, weights = @decay, remap = @pruned>]
      bounds warning : !kjt, !keyed
    %2 = trec.dispatch @a_i32, @a_i64(%kjt) into %1 [#trec.bag<@users, "user", 0, length = 20>] bounds warning certified : !kjt, !keyed
    return %2 : !keyed
  }
}

// CHECK-LABEL: module @sparse
// CHECK-NOT: trec.contract
// CHECK-NOT: trec.table
// CHECK-NOT: trec.parameter
// CHECK-NOT: @forward

// An entry takes the arguments of trec_bag_args to the memrefs of its kernel.
// CHECK-LABEL: llvm.func @trec_kernel_a_i32(
// CHECK-SAME: %[[ARGS:.*]]: !llvm.ptr, %[[BEGIN:.*]]: i64, %[[END:.*]]: i64) {
// CHECK: %[[STRIDE:.*]] = llvm.mlir.constant(16 : i64)
// CHECK: %[[NUM_ROWS_AT:.*]] = llvm.getelementptr %[[ARGS]][1] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: %[[NUM_ROWS:.*]] = llvm.load %[[NUM_ROWS_AT]] : !llvm.ptr -> i64
// CHECK: %[[OUT_STRIDE_AT:.*]] = llvm.getelementptr %[[ARGS]][6]
// CHECK: %[[OUT_STRIDE:.*]] = llvm.load %[[OUT_STRIDE_AT]] : !llvm.ptr -> i64
// CHECK: %[[NUM_REMAP_AT:.*]] = llvm.getelementptr %[[ARGS]][9]
// CHECK: %[[NUM_REMAP:.*]] = llvm.load %[[NUM_REMAP_AT]] : !llvm.ptr -> i64
// CHECK: %[[NUM_IDS_AT:.*]] = llvm.getelementptr %[[ARGS]][10]
// CHECK: %[[NUM_IDS:.*]] = llvm.load %[[NUM_IDS_AT]] : !llvm.ptr -> i64
// CHECK: %[[CERTIFIED_AT:.*]] = llvm.getelementptr %[[ARGS]][11]
// CHECK: %[[CERTIFIED:.*]] = llvm.load %[[CERTIFIED_AT]] : !llvm.ptr -> i64
// CHECK: %[[OFFSET_AT:.*]] = llvm.getelementptr %[[ARGS]][12]
// CHECK: %[[OFFSET:.*]] = llvm.load %[[OFFSET_AT]] : !llvm.ptr -> f64
// CHECK: %[[C:.*]] = llvm.fptrunc %[[OFFSET]] : f64 to f32
// CHECK: %[[FAR_AT:.*]] = llvm.getelementptr %[[ARGS]][13]
// CHECK: %[[FAR:.*]] = llvm.load %[[FAR_AT]] : !llvm.ptr -> i64
// CHECK: %[[STREAMS_AT:.*]] = llvm.getelementptr %[[ARGS]][14]
// CHECK: %[[STREAMS:.*]] = llvm.load %[[STREAMS_AT]] : !llvm.ptr -> i64
// CHECK: %[[ONE_ID_AT:.*]] = llvm.getelementptr %[[ARGS]][15]
// CHECK: %[[ONE_ID:.*]] = llvm.load %[[ONE_ID_AT]] : !llvm.ptr -> i64
// CHECK: %[[ROWS_AT:.*]] = llvm.getelementptr %[[ARGS]][0]
// CHECK: %[[ROWS:.*]] = llvm.load %[[ROWS_AT]] : !llvm.ptr -> !llvm.ptr
// CHECK: llvm.insertvalue %[[ROWS]], %{{.*}}[1]
// CHECK: llvm.insertvalue %[[NUM_ROWS]], %{{.*}}[3, 0]
// CHECK: llvm.insertvalue %[[STRIDE]], %{{.*}}[4, 0]
// CHECK: %[[A0:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?x16xi8>
// CHECK: llvm.getelementptr %[[ARGS]][2]
// CHECK: %[[A1:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xi32>
// CHECK: llvm.getelementptr %[[ARGS]][3]
// CHECK: %[[A2:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xi64>
// CHECK: llvm.getelementptr %[[ARGS]][4]
// CHECK: %[[A3:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xf32>
// CHECK: %[[OUT_AT:.*]] = llvm.getelementptr %[[ARGS]][5]
// CHECK: %[[OUT:.*]] = llvm.load %[[OUT_AT]] : !llvm.ptr -> !llvm.ptr
// CHECK: llvm.insertvalue %[[OUT]], %{{.*}}[1]
// CHECK: llvm.insertvalue %[[OUT_STRIDE]], %{{.*}}[4, 0]
// CHECK: %[[A4:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?x8xf16, strided<[?, 1]>>
// CHECK: llvm.getelementptr %[[ARGS]][7]
// CHECK: %[[A5:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<2xi64>
// CHECK: llvm.getelementptr %[[ARGS]][8]
// CHECK: llvm.insertvalue %[[NUM_REMAP]], %{{.*}}[3, 0]
// CHECK: %[[A6:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?xi32>
// CHECK: %[[A7:.*]] = builtin.unrealized_conversion_cast %[[NUM_IDS]] : i64 to index
// CHECK: %[[A8:.*]] = builtin.unrealized_conversion_cast %[[CERTIFIED]] : i64 to index
// CHECK: %[[A9:.*]] = builtin.unrealized_conversion_cast %[[FAR]] : i64 to index
// CHECK: %[[A10:.*]] = builtin.unrealized_conversion_cast %[[STREAMS]] : i64 to index
// CHECK: %[[A11:.*]] = builtin.unrealized_conversion_cast %[[ONE_ID]] : i64 to index
// CHECK: %[[A12:.*]] = builtin.unrealized_conversion_cast %[[BEGIN]] : i64 to index
// CHECK: %[[A13:.*]] = builtin.unrealized_conversion_cast %[[END]] : i64 to index
// CHECK: call @a_i32(%[[A0]], %[[A1]], %[[A2]], %[[A3]], %[[A4]], %[[A5]], %[[A6]], %[[A7]], %[[A8]], %[[C]], %[[A9]], %[[A10]], %[[A11]], %[[A12]], %[[A13]])
// CHECK: llvm.return
// CHECK: func.func private @a_i32({{.*}}) attributes {llvm.linkage = #llvm.linkage<internal>}
// CHECK-LABEL: llvm.func @trec_kernel_a_i64(
// CHECK: memref<?xi64>
// CHECK: call @a_i64(
// CHECK-LABEL: llvm.func @trec_kernel_b_i32(
// CHECK-LABEL: llvm.func @trec_kernel_b_i64(

// Per feature: name, batch, index in the batch; per table: name, rows, bytes of a row, dim, type.
// CHECK: llvm.mlir.global external constant @trec_features(dense<{{\[\[}}0, 0, 0], [3, 0, 1], [8, 0, 2]]> : tensor<3x3xi64>) {{.*}} : !llvm.array<3 x array<3 x i64>>
// CHECK: llvm.mlir.global external constant @trec_tables(dense<{{\[\[}}13, 1000, 8, 16, 4], [17, -1, 16, 8, 2]]> : tensor<2x5xi64>)
// Per parameter: name, entries, type, map, ids.
// CHECK: llvm.mlir.global external constant @trec_parameters(dense<{{\[\[}}23, 20, 3, 0, 0], [29, 500, 1, 1, 2147483648], [36, -1, 1, 2, 70], [42, 9, 2, 3, 2147483648]]> : tensor<4x5xi64>)
// Per bag, in the order of columns: kernel, table, feature, column, from 1 weights and remap, output, repeated, certified.
// CHECK: llvm.mlir.global external constant @trec_bags(dense<{{\[\[}}1, 1, 1, 0, 0, 0, 0, 0, 1, 21], [0, 0, 0, 8, 1, 0, 0, 0, 0, 0], [0, 0, 1, 24, 1, 2, 0, 0, 0, 0]]> : tensor<3x10xi64>)
// CHECK: llvm.mlir.global external constant @trec_outputs(dense<> : tensor<0x2xi64>)
// CHECK: llvm.mlir.global external constant @trec_strings("ad\00user\00idle\00ads\00users\00decay\00pruned\00slots\00pairs\00")
// CHECK: llvm.mlir.global external constant @trec_kernels() {{.*}} : !llvm.array<4 x ptr> {
// CHECK: llvm.mlir.addressof @trec_kernel_b_i32
// CHECK: llvm.mlir.addressof @trec_kernel_b_i64
// CHECK: llvm.mlir.addressof @trec_kernel_a_i32
// CHECK: llvm.mlir.addressof @trec_kernel_a_i64

// SUFFIX-DAG: llvm.func @trec_kernel_a_i32.v3(
// SUFFIX-DAG: llvm.func @trec_kernel_b_i64.v3(
// SUFFIX-DAG: llvm.mlir.global external constant @trec_bags(
// SUFFIX-DAG: llvm.mlir.global external constant @trec_kernels.v3()
