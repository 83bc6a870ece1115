// RUN: trec-opt %s --trec-emit-kernel-entries | FileCheck %s

// Two batches and two outputs: features lie batch after batch, bags output after output.
!kjt = !trec.kjt<["ad", "page"]>
!kjt1 = !trec.kjt<["user"], weighted>
!groups = !trec.tensor_dict<["dense", "user"], [24, 8], f32>
!rows = memref<?x8xi8>
!output = memref<?x8xf32, strided<[?, 1]>>
module @m {
  trec.table @t : !trec.table<1000x8, int8, #trec.row_layout<header = f16>>
  func.func private @k_i32(%a: !rows, %b: memref<?xi32>, %c: memref<?xi64>, %d: memref<?xf32>, %e: !output, %f: memref<2xi64>, %g: memref<?xi32>, %h: index, %i: index, %j: f32, %k: index, %l: index, %m: index, %n: index, %o: index) {
    return
  }
  func.func private @k_i64(%a: !rows, %b: memref<?xi64>, %c: memref<?xi64>, %d: memref<?xf32>, %e: !output, %f: memref<2xi64>, %g: memref<?xi32>, %h: index, %i: index, %j: f32, %k: index, %l: index, %m: index, %n: index, %o: index) {
    return
  }
  func.func @forward(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
    %0 = trec.empty : !groups
    %1 = trec.dispatch @k_i32, @k_i64(%kjt, %kjt1) into %0
        [#trec.bag<@t, "page", 0, output = 1>, #trec.bag<@t, "user", 16, batch = 1>,
         #trec.bag<@t, "page", 8, bad_ids = repeated>, #trec.bag<@t, "ad", 0>]
        bounds warning : !kjt, !kjt1, !groups
    return %1 : !groups
  }
}

// CHECK: @trec_features(dense<{{\[\[}}0, 0, 0], [3, 0, 1], [8, 1, 0]]> : tensor<3x3xi64>)
// CHECK: @trec_bags(dense<{{\[\[}}0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 8, 0, 0, 0, 1, 0, 0], [0, 0, 2, 16, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 1, 0, 0, 0]]> : tensor<4x10xi64>)
// CHECK: @trec_outputs(dense<{{\[\[}}15, 24], [21, 8]]> : tensor<2x2xi64>)
// CHECK: @trec_strings("ad\00page\00user\00t\00dense\00user\00")
