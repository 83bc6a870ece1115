// RUN: trec-opt %s --trec-group-tables --split-input-file | FileCheck %s

// The example of the pass: one configuration.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["ad_id", "page_id"]>
!keyed = !trec.keyed_tensor<["ad_id", "page_id"], [128, 128], f32>
trec.table @ads : !trec.table<1000x128, int8, #layout>
trec.table @pages : !trec.table<50x128, int8, #layout>

// CHECK-LABEL: func.func @forward(
// CHECK-SAME: %[[KJT:.*]]: !kjt
// CHECK-NEXT: %[[EMPTY:.*]] = trec.empty : !keyed
// CHECK-NEXT: %[[OUT:.*]] = trec.embedding_bag_group sum %[[KJT]] into %[[EMPTY]]
// CHECK-SAME: [#trec.bag<@ads, "ad_id", 0>, #trec.bag<@pages, "page_id", 128>]
// CHECK-SAME: rows !trec.row<128, int8, #layout> bounds warning : !kjt, !keyed
// CHECK-NEXT: return %[[OUT]]
func.func @forward(%kjt: !kjt) -> !keyed {
  %i = trec.feature %kjt "ad_id" : !kjt
  %a = trec.embedding_bag sum @ads[%i] bounds warning : tensor<?x128xf32>
  %j = trec.feature %kjt "page_id" : !kjt
  %b = trec.embedding_bag sum @pages[%j] bounds warning : tensor<?x128xf32>
  %out = trec.keyed_tensor %a, %b : (tensor<?x128xf32>, tensor<?x128xf32>) -> !keyed
  return %out : !keyed
}

// -----

// Each thing that a configuration has makes a group of its own; groups, and the
// bags of each, are in the order of the columns. Keys may repeat.
#a16 = #trec.row_layout<header = f16, align = 16>
#a1 = #trec.row_layout<header = f16>
#float = #trec.row_layout<header = none>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["f", "g", "g", "f", "f", "f", "g", "f"], [8, 8, 8, 8, 4, 8, 8, 8], f16>
trec.table @base : !trec.table<10x8, int8, #a16>
trec.table @dim : !trec.table<10x4, int8, #a16>
trec.table @type : !trec.table<10x8, int4, #a16>
trec.table @float : !trec.table<10x8, fp16, #float>
trec.table @align : !trec.table<10x8, int8, #a1>
trec.table @again : !trec.table<?x8, int8, #a16>

// CHECK-LABEL: func.func @configurations(
// CHECK-NEXT: %[[EMPTY:.*]] = trec.empty
// CHECK-NEXT: %[[G0:.*]] = trec.embedding_bag_group sum %{{.*}} into %[[EMPTY]] [#trec.bag<@type, "f", 0>] rows !trec.row<8, int4,
// CHECK-NEXT: %[[G1:.*]] = trec.embedding_bag_group sum %{{.*}} into %[[G0]]
// CHECK-SAME: [#trec.bag<@base, "g", 8>, #trec.bag<@base, "f", 24>, #trec.bag<@again, "f", 52>] rows !trec.row<8, int8,
// CHECK-NEXT: %[[G2:.*]] = trec.embedding_bag_group mean %{{.*}} into %[[G1]] [#trec.bag<@base, "g", 16>] rows !trec.row<8, int8,
// CHECK-NEXT: %[[G3:.*]] = trec.embedding_bag_group sum %{{.*}} into %[[G2]] [#trec.bag<@dim, "f", 32>] rows !trec.row<4, int8,
// CHECK-NEXT: %[[G4:.*]] = trec.embedding_bag_group sum %{{.*}} into %[[G3]] [#trec.bag<@float, "f", 36>] rows !trec.row<8, fp16,
// CHECK-NEXT: %[[G5:.*]] = trec.embedding_bag_group sum %{{.*}} into %[[G4]] [#trec.bag<@align, "g", 44>] rows !trec.row<8, int8,
// CHECK-NEXT: return %[[G5]]
func.func @configurations(%kjt: !kjt) -> !keyed {
  %f = trec.feature %kjt "f" : !kjt
  %g = trec.feature %kjt "g" : !kjt
  %0 = trec.embedding_bag sum @type[%f] bounds warning : tensor<?x8xf16>
  %1 = trec.embedding_bag sum @base[%g] bounds warning : tensor<?x8xf16>
  %2 = trec.embedding_bag mean @base[%g] bounds warning : tensor<?x8xf16>
  %3 = trec.embedding_bag sum @base[%f] bounds warning : tensor<?x8xf16>
  %4 = trec.embedding_bag sum @dim[%f] bounds warning : tensor<?x4xf16>
  %5 = trec.embedding_bag sum @float[%f] bounds warning : tensor<?x8xf16>
  %6 = trec.embedding_bag sum @align[%g] bounds warning : tensor<?x8xf16>
  %7 = trec.embedding_bag sum @again[%f] bounds warning : tensor<?x8xf16>
  %out = trec.keyed_tensor %0, %1, %2, %3, %4, %5, %6, %7 : (tensor<?x8xf16>, tensor<?x8xf16>, tensor<?x8xf16>,
    tensor<?x8xf16>, tensor<?x4xf16>, tensor<?x8xf16>, tensor<?x8xf16>, tensor<?x8xf16>) -> !keyed
  return %out : !keyed
}

// -----

// Weighted lookups and other policies have groups of their own. Weights are no
// operand any more: a weighted group finds them in its batch.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"], weighted>
!keyed = !trec.keyed_tensor<["a", "b", "c"], [8, 8, 8], f32>
trec.table @t : !trec.table<10x8, int8, #layout>

// CHECK-LABEL: func.func @weighted(
// CHECK-NOT: trec.sample_weights
// CHECK: trec.embedding_bag_group sum weighted %{{.*}} [#trec.bag<@t, "f", 0>] {{.*}} bounds warning :
// CHECK: trec.embedding_bag_group sum %{{.*}} [#trec.bag<@t, "f", 8>] {{.*}} bounds warning :
// CHECK: trec.embedding_bag_group sum weighted %{{.*}} [#trec.bag<@t, "f", 16>] {{.*}} bounds fatal :
func.func @weighted(%kjt: !kjt) -> !keyed {
  %f = trec.feature %kjt "f" : !kjt
  %w = trec.sample_weights %kjt "f" : !kjt
  %0 = trec.embedding_bag sum @t[%f] weights %w bounds warning : tensor<?x8xf32>
  %1 = trec.embedding_bag sum @t[%f] bounds warning : tensor<?x8xf32>
  %2 = trec.embedding_bag sum @t[%f] weights %w bounds fatal : tensor<?x8xf32>
  %out = trec.keyed_tensor %0, %1, %2 : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

// Nothing to group.
// CHECK-LABEL: func.func @no_output(
// CHECK-NEXT: trec.empty
func.func @no_output() -> !trec.keyed_tensor<["a"], [8], f32> {
  %0 = trec.empty : !trec.keyed_tensor<["a"], [8], f32>
  return %0 : !trec.keyed_tensor<["a"], [8], f32>
}

// -----

// Weights by position and each kind of map make groups of their own, whatever
// parameter they name; the parameters are in the bags.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["a", "b", "c", "d", "e", "f", "g"], [8, 8, 8, 8, 8, 8, 8], f32>
trec.table @t : !trec.table<10x8, int8, #layout>
trec.parameter @p : tensor<20xf32>
trec.parameter @q : tensor<30xf32>
trec.parameter @m maps <array> : tensor<100xi32>
trec.parameter @n maps <array> : tensor<200xi32>
trec.parameter @s maps <sorted> : tensor<10x2xi64>

// CHECK-LABEL: func.func @parameters(
// CHECK: trec.embedding_bag_group sum %{{.*}} [#trec.bag<@t, "f", 0, weights = @p>, #trec.bag<@t, "g", 16, weights = @q>]
// CHECK: trec.embedding_bag_group sum %{{.*}} [#trec.bag<@t, "f", 8>]
// CHECK: trec.embedding_bag_group sum %{{.*}} [#trec.bag<@t, "f", 24, remap = @m>, #trec.bag<@t, "f", 32, remap = @n>]
// CHECK: trec.embedding_bag_group sum %{{.*}} [#trec.bag<@t, "g", 40, weights = @q, remap = @n>]
// CHECK: trec.embedding_bag_group sum %{{.*}} [#trec.bag<@t, "f", 48, remap = @s>]
func.func @parameters(%kjt: !kjt) -> !keyed {
  %f = trec.feature %kjt "f" : !kjt
  %g = trec.feature %kjt "g" : !kjt
  %0 = trec.embedding_bag sum @t[%f] position_weights @p bounds warning : tensor<?x8xf32>
  %1 = trec.embedding_bag sum @t[%f] bounds warning : tensor<?x8xf32>
  %2 = trec.embedding_bag sum @t[%g] position_weights @q bounds warning : tensor<?x8xf32>
  %3 = trec.embedding_bag sum @t[%f] remap @m bounds warning : tensor<?x8xf32>
  %4 = trec.embedding_bag sum @t[%f] remap @n bounds warning : tensor<?x8xf32>
  %5 = trec.embedding_bag sum @t[%g] position_weights @q remap @n bounds warning : tensor<?x8xf32>
  %6 = trec.embedding_bag sum @t[%f] remap @s bounds warning : tensor<?x8xf32>
  %out = trec.keyed_tensor %0, %1, %2, %3, %4, %5, %6 : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>,
    tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}

// -----

// Without pooling a bag has the index of its key.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f", "g"]>
!dict = !trec.jagged_dict<["a", "b", "c", "d", "e"], [8, 4, 8, 8, 8], f16>
!rows = !trec.jagged<vector<8xf16>>
trec.table @t : !trec.table<10x8, int8, #layout>
trec.table @u : !trec.table<10x4, int8, #layout>
trec.parameter @m maps <array> : tensor<100xi32>

// CHECK-LABEL: func.func @sequences(
// CHECK-SAME: %[[KJT:.*]]: !kjt
// CHECK-NEXT: %[[EMPTY:.*]] = trec.empty : !dict
// CHECK-NEXT: %[[G0:.*]] = trec.embedding_group %[[KJT]] into %[[EMPTY]] [#trec.bag<@t, "g", 0>, #trec.bag<@t, "f", 2>]
// CHECK-SAME: rows !trec.row<8, int8, #layout> bounds warning : !kjt, !dict
// CHECK-NEXT: %[[G1:.*]] = trec.embedding_group %[[KJT]] into %[[G0]] [#trec.bag<@u, "f", 1>] rows !trec.row<4, int8,
// CHECK-NEXT: %[[G2:.*]] = trec.embedding_group %[[KJT]] into %[[G1]] [#trec.bag<@t, "f", 3, remap = @m>]
// CHECK-NEXT: %[[G3:.*]] = trec.embedding_group %[[KJT]] into %[[G2]] [#trec.bag<@t, "f", 4>] {{.*}} bounds fatal :
// CHECK-NEXT: return %[[G3]]
func.func @sequences(%kjt: !kjt) -> !dict {
  %f = trec.feature %kjt "f" : !kjt
  %g = trec.feature %kjt "g" : !kjt
  %0 = trec.embedding @t[%g] bounds warning : !rows
  %1 = trec.embedding @u[%f] bounds warning : !trec.jagged<vector<4xf16>>
  %2 = trec.embedding @t[%f] bounds warning : !rows
  %3 = trec.embedding @t[%f] remap @m bounds warning : !rows
  %4 = trec.embedding @t[%f] bounds fatal : !rows
  %out = trec.jagged_dict %0, %1, %2, %3, %4 : (!rows, !trec.jagged<vector<4xf16>>, !rows, !rows, !rows) -> !dict
  return %out : !dict
}

// -----

// Stored rows of one type are one group.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f", "g"]>
!dict = !trec.jagged_dict<["a", "b", "c"], [12, 16, 12], i8>
trec.table @t : !trec.table<10x8, int8, #layout>
trec.table @u : !trec.table<10x12, int8, #layout>

// CHECK-LABEL: func.func @stored_rows(
// CHECK: trec.embedding_group %{{.*}} [#trec.bag<@t, "f", 0>, #trec.bag<@t, "g", 2>] rows !trec.row<8,
// CHECK: trec.embedding_group %{{.*}} [#trec.bag<@u, "g", 1>] rows !trec.row<12,
func.func @stored_rows(%kjt: !kjt) -> !dict {
  %f = trec.feature %kjt "f" : !kjt
  %g = trec.feature %kjt "g" : !kjt
  %0 = trec.embedding @t[%f] bounds warning : !trec.jagged<vector<12xi8>>
  %1 = trec.embedding @u[%g] bounds warning : !trec.jagged<vector<16xi8>>
  %2 = trec.embedding @t[%g] bounds warning : !trec.jagged<vector<12xi8>>
  %out = trec.jagged_dict %0, %1, %2 : (!trec.jagged<vector<12xi8>>, !trec.jagged<vector<16xi8>>,
    !trec.jagged<vector<12xi8>>) -> !dict
  return %out : !dict
}

// -----

// What is promised of a feature is that of its bags, and no configuration.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f", "g", "h"]>
!keyed = !trec.keyed_tensor<["f", "g", "h"], [8, 8, 8], f32>
trec.table @t : !trec.table<10x8, int8, #layout>

// CHECK-LABEL: func.func @lengths(
// CHECK: trec.embedding_bag_group sum
// CHECK-SAME: [#trec.bag<@t, "f", 0, length = 20>, #trec.bag<@t, "g", 8, length = 0>, #trec.bag<@t, "h", 16>]
// CHECK-NOT: trec.embedding_bag_group
func.func @lengths(%kjt: !kjt) -> !keyed {
  %f = trec.feature %kjt "f" length 20 : !kjt
  %0 = trec.embedding_bag sum @t[%f] bounds warning : tensor<?x8xf32>
  %g = trec.feature %kjt "g" length 0 : !kjt
  %1 = trec.embedding_bag sum @t[%g] bounds warning : tensor<?x8xf32>
  %h = trec.feature %kjt "h" : !kjt
  %2 = trec.embedding_bag sum @t[%h] bounds warning : tensor<?x8xf32>
  %out = trec.keyed_tensor %0, %1, %2 : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> !keyed
  return %out : !keyed
}
