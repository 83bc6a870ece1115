// RUN: trec-opt %s --convert-trec-to-gpu --split-input-file | FileCheck %s

// Bags of a promised length begin and end at places that are computed. Before the ids no offset is loaded but the
// feature's first, and that only where keys are in another order or what is in front of the feature is not promised.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @common(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 20>]
    rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: scf.if

// Where the caller's keys are in another order, the place of the feature is looked up, and its first offset.
// CHECK: %[[FOUND:.*]]:2 = scf.if %{{.*}} -> (i32, i32) {
// CHECK: llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: } else {

// Else it is known how many ids a sample has in front (ids_before of trec_gpu_bag): all keys of the batch are promised.
// CHECK: %[[AT48:.*]] = arith.constant 48 : i64
// CHECK: %[[PLACE:.*]] = arith.addi %{{.*}}, %[[AT48]]
// CHECK: %[[POINTER:.*]] = llvm.inttoptr %[[PLACE]]
// CHECK: %[[BEFORE:.*]] = llvm.load %[[POINTER]] invariant {{.*}} -> i64
// CHECK: %[[NARROW:.*]] = arith.trunci %[[BEFORE]] : i64 to i32
// CHECK: %[[KNOWN:.*]] = arith.muli %[[NARROW]], %{{.*}} : i32
// CHECK: scf.yield %{{.*}}, %[[KNOWN]] : i32, i32
// CHECK: }

// CHECK: %[[PROMISED:.*]] = arith.constant 20 : i64
// CHECK: %[[NARROW_LENGTH:.*]] = arith.trunci %[[PROMISED]]
// CHECK: %[[LENGTH:.*]] = arith.select %{{.*}}, %[[NARROW_LENGTH]], %{{.*}} : i32
// CHECK: %[[OWN:.*]] = arith.muli %{{.*}}, %[[LENGTH]] : i32
// CHECK: %[[BEGIN:.*]] = arith.addi %[[FOUND]]#1, %[[OWN]] : i32
// CHECK: %[[END:.*]] = arith.addi %[[BEGIN]], %[[LENGTH]] : i32

// Both are within the values, or there are no ids.
// CHECK: arith.cmpi ule, %[[END]], %{{.*}} : i32
// CHECK: %[[BEGIN_OF_IDS:.*]] = arith.select %[[IS_THERE:.*]], %[[BEGIN]], %{{.*}} : i32
// CHECK: %[[END_OF_IDS:.*]] = arith.select %[[IS_THERE]], %[[END]], %{{.*}} : i32

// The offset behind the bag is what its end is held to.
// CHECK: %[[LOADED:.*]] = llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: %[[STORED:.*]] = arith.select %{{.*}}, %[[LOADED]], %{{.*}} : i32
// CHECK: %[[IS_END:.*]] = arith.cmpi eq, %[[END]], %[[STORED]] : i32
// CHECK: %[[IS_KEPT:.*]] = arith.andi %[[IS_THERE]], %[[IS_END]]
// CHECK: %[[IS_BROKEN:.*]] = arith.xori %[[IS_KEPT]], %{{.*}}
// CHECK: %[[IS_WRONG:.*]] = arith.andi %{{.*}}, %[[IS_BROKEN]]

// The ids are loaded by what was computed, and whether anything is wrong goes along.
// CHECK-NOT: llvm.load
// CHECK: %[[AT:.*]] = arith.addi %[[BEGIN_OF_IDS]], %{{.*}} : i32
// CHECK: %[[IS_ID:.*]] = arith.cmpi slt, %[[AT]], %[[END_OF_IDS]] : i32
// CHECK: llvm.inline_asm "@$2 ld.global.nc.b32 $0, [$1];", "=r,l,b,0" %{{.*}}, %[[IS_ID]],
// CHECK: %[[SEEN:.*]] = arith.ori %[[IS_WRONG]], %{{.*}}
// CHECK: scf.for {{.*}} = %[[SEEN]],

// Then the offsets of the bag are looked at again: another length than 20 is what is reported.
// CHECK: nvvm.vote.sync any
// CHECK: %[[AGAIN:.*]] = arith.constant 20 : i64
// CHECK: arith.cmpi ne, %{{.*}}, %[[AGAIN]] : i64

// -----

// Of several lengths each lookup has its own (length of trec_gpu_bag).
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["f", "g"], [128, 128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @own(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest
    [#trec.bag<@t, "f", 0, length = 20>, #trec.bag<@t, "g", 128, length = 7>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: arith.constant 136 : i64
// CHECK: arith.constant 56 : i64
// CHECK: %[[AT40:.*]] = arith.constant 40 : i64
// CHECK: %[[PLACE:.*]] = arith.addi %{{.*}}, %[[AT40]]
// CHECK: %[[POINTER:.*]] = llvm.inttoptr %[[PLACE]]
// CHECK: %[[PROMISED:.*]] = llvm.load %[[POINTER]] invariant {{.*}} -> i64
// CHECK: %[[NARROW_LENGTH:.*]] = arith.trunci %[[PROMISED]] : i64 to i32
// CHECK: %[[LENGTH:.*]] = arith.select %{{.*}}, %[[NARROW_LENGTH]], %{{.*}} : i32
// CHECK: %[[OWN:.*]] = arith.muli %{{.*}}, %[[LENGTH]] : i32
// CHECK: %[[BEGIN:.*]] = arith.addi %{{.*}}, %[[OWN]] : i32
// CHECK: %[[END:.*]] = arith.addi %[[BEGIN]], %[[LENGTH]] : i32
// CHECK-NOT: llvm.inline_asm "@$2 ld.global.nc
// CHECK: llvm.load %{{.*}} invariant {alignment = 4 : i64}

// -----

// Where a lookup has none, both of its offsets are loaded, by a condition.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f", "g"]>
!keyed = !trec.keyed_tensor<["f", "g"], [128, 128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @some(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 20>, #trec.bag<@t, "g", 128>]
    rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: arith.constant 136 : i64
// CHECK: arith.constant 40 : i64
// CHECK: %[[PROMISED:.*]] = llvm.load %{{.*}} invariant {{.*}} -> i64
// CHECK: %[[IS_MADE:.*]] = arith.cmpi sge, %[[PROMISED]], %{{.*}} : i64
// CHECK: %[[NARROW_LENGTH:.*]] = arith.trunci %[[PROMISED]] : i64 to i32
// CHECK: %[[LENGTH:.*]] = arith.select %[[IS_MADE]], %[[NARROW_LENGTH]], %{{.*}} : i32
// CHECK: %[[OWN:.*]] = arith.muli %{{.*}}, %[[LENGTH]] : i32
// CHECK: %[[BEGIN:.*]] = arith.addi %{{.*}}, %[[OWN]] : i32
// CHECK: %[[END:.*]] = arith.addi %[[BEGIN]], %[[LENGTH]] : i32
// CHECK: %[[HAS_NONE:.*]] = arith.xori %[[IS_MADE]], %{{.*}}
// CHECK: llvm.inline_asm "@$2 ld.global.nc.b32 $0, [$1];", "=r,l,b,0" %{{.*}}, %[[HAS_NONE]], %[[END]]

// -----

// Without a promise a bag lies between two offsets, which are loaded.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @none(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0>] rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 2> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: arith.constant 136 : i64
// CHECK: scf.if {{.*}} -> (i32)
// CHECK: } else {
// CHECK: %[[LOADED:.*]] = llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: %[[BEGIN:.*]] = arith.select %{{.*}}, %[[LOADED]], %{{.*}} : i32
// CHECK: %[[BEHIND:.*]] = llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: %[[END:.*]] = arith.select %{{.*}}, %[[BEHIND]], %{{.*}} : i32
// CHECK: arith.cmpi ule, %[[BEGIN]], %[[END]] : i32
// CHECK: %[[AT:.*]] = arith.addi %[[BEGIN]], %{{.*}} : i32
// CHECK: llvm.inline_asm "@$2 ld.global.nc.b32 $0, [$1];"

// -----

// All rows of every bag in flight at once: no loop, and no load of a row waits for another. A row that is not there has
// a header of zeros.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [128], f32>
trec.table @t : !trec.table<1000x128, int8, #layout>
func.func @all_in_flight(%kjt: !kjt, %dest: !keyed) -> !keyed {
  %0 = trec.embedding_bag_group sum %kjt into %dest [#trec.bag<@t, "f", 0, length = 20>]
    rows !trec.row<128, int8, #layout>
    bounds warning gpu_lowering <lanes = 32, units_per_lane = 1, rows_in_flight = 24> : !kjt, !keyed
  return %0 : !keyed
}
// CHECK-LABEL: gpu.func @trec_forward_i32(
// CHECK: scf.if {{.*}} -> (i32, i32)
// CHECK-NOT: scf.for
// CHECK-COUNT-20: llvm.inline_asm has_side_effects "ld.global.b32 $0, [$1];", "=r,l"
// CHECK-NOT: ld.global

// The header comes behind them: neither passes the other on its way to memory.
// CHECK: nvvm.bar.warp.sync
// CHECK-NOT: ld.global
// CHECK: llvm.inline_asm has_side_effects "@$2 ld.global.b32 $0, [$1];"
// CHECK-NOT: ld.global
// CHECK-NOT: scf.for
// CHECK-COUNT-80: arith.addf
// CHECK-NOT: scf.for
// CHECK: llvm.inline_asm has_side_effects "@$1 st.global.cs.v4.b32 [$0], {$2, $3, $4, $5};"
