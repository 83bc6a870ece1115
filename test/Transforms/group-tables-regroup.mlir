// RUN: trec-opt %s --trec-group-tables | FileCheck %s

// Lookups write into the tensors of the groups, and no KeyedTensor is left. A key in two groups is looked up for each;
// the second time its bad ids are not counted again.
!kjt = !trec.kjt<["ad", "page"]>
!kjt1 = !trec.kjt<["user"], weighted>
!keyed = !trec.keyed_tensor<["ad", "page"], [8, 8], f32>
!keyed1 = !trec.keyed_tensor<["user"], [8], f32>
!groups = !trec.tensor_dict<["dense", "user"], [24, 16], f32>
#layout = #trec.row_layout<header = f16>
trec.table @ads : !trec.table<10x8, int8, #layout>
trec.table @pages : !trec.table<10x8, int8, #layout>
trec.table @users : !trec.table<10x8, int8, #layout>

// CHECK-LABEL: func.func @regroup(
// CHECK-SAME: %[[K0:.*]]: !kjt, %[[K1:.*]]: !kjt1)
func.func @regroup(%kjt: !kjt, %kjt1: !kjt1) -> !groups {
  %i0 = trec.feature %kjt "ad" : !kjt
  %ad = trec.embedding_bag sum @ads[%i0] bounds warning : tensor<?x8xf32>
  %i1 = trec.feature %kjt "page" : !kjt
  %page = trec.embedding_bag sum @pages[%i1] bounds warning : tensor<?x8xf32>
  %i2 = trec.feature %kjt1 "user" : !kjt1
  %w = trec.sample_weights %kjt1 "user" : !kjt1
  %user = trec.embedding_bag sum @users[%i2] weights %w bounds warning : tensor<?x8xf32>
  %keyed = trec.keyed_tensor %ad, %page : (tensor<?x8xf32>, tensor<?x8xf32>) -> !keyed
  %keyed1 = trec.keyed_tensor %user : (tensor<?x8xf32>) -> !keyed1
  // CHECK-NEXT: %[[E:.*]] = trec.empty : !groups
  // CHECK-NEXT: %[[G0:.*]] = trec.embedding_bag_group sum weighted %[[K0]], %[[K1]] into %[[E]]
  // CHECK-SAME: [#trec.bag<@users, "user", 0, batch = 1>, #trec.bag<@users, "user", 8, batch = 1, output = 1, bad_ids = repeated>]
  // CHECK-SAME: : !kjt, !kjt1, !groups
  // CHECK-NEXT: %[[G1:.*]] = trec.embedding_bag_group sum %[[K0]], %[[K1]] into %[[G0]]
  // CHECK-SAME: [#trec.bag<@ads, "ad", 8>, #trec.bag<@pages, "page", 16>, #trec.bag<@ads, "ad", 0, output = 1, bad_ids = repeated>]
  // CHECK-NEXT: return %[[G1]]
  %dict = trec.regroup %keyed, %keyed1 [["user", "ad", "page"], ["ad", "user"]] : (!keyed, !keyed1) -> !groups
  return %dict : !groups
}
