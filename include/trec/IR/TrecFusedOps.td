//===- TrecFusedOps.td - Fused lookups and groups of them ---------*- tablegen -*-===//
//
// What fusion makes of the import layer, and what grouping makes of that.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECFUSEDOPS_TD
#define TREC_IR_TRECFUSEDOPS_TD

include "trec/IR/TrecInterfaces.td"
include "trec/IR/TrecOpBase.td"

def Trec_EmbeddingBagOp : Trec_Op<"embedding_bag", [
    MemoryEffects<[MemWrite<Trec_Counters>]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "check, look up, dequantize, weight, pool and round in one";
  let description = [{
    The same bits as `trec.check_bounds`, `trec.lookup`, `trec.dequantize`,
    `trec.weight` (where there are weights), `trec.pool` and `trec.cast_output`
    one after the other, without a row in between.

    ```mlir
    trec.table @ads : !trec.table<1000x16, int8, #trec.row_layout<header = f16>>
    func.func @f(%ids: !trec.jagged<index>, %weights: !trec.jagged<f32>) -> tensor<?x16xf16> {
      %ad = trec.embedding_bag sum @ads[%ids] weights %weights bounds warning : tensor<?x16xf16>
      return %ad : tensor<?x16xf16>
    }
    ```

    With `position_weights` the rows are weighted as `trec.position_weights` of
    the ids would weight them. With `remap` the ids are checked against
    that map and mapped, as `trec.remap` does, before the lookup.

    Constraints:
    * C1: the symbol names a `trec.table`.
    * C2: the columns of the result are the dim of the table.
    * C3: there are weights or position weights, not both.
    * C4: position weights name a `trec.parameter` of f32.
    * C5: a remap names a `trec.parameter` that maps ids.
  }];
  let arguments = (ins Trec_PoolingAttr:$pooling, FlatSymbolRefAttr:$table, Trec_Ids:$ids,
                       Optional<Trec_Weights>:$weights,
                       OptionalAttr<FlatSymbolRefAttr>:$position_weights,
                       OptionalAttr<FlatSymbolRefAttr>:$remap, Trec_BoundsPolicyAttr:$policy);
  let results = (outs 2DTensorOf<[F32, F16, BF16]>:$pooled);
  let assemblyFormat = [{
    custom<PoolingKeyword>($pooling) $table `[` $ids `]` (`weights` $weights^)?
    (`position_weights` $position_weights^)? (`remap` $remap^)?
    `bounds` custom<BoundsKeyword>($policy) attr-dict `:` type($pooled)
  }];
  let hasVerifier = 1;
}

def Trec_EmbeddingOp : Trec_Op<"embedding", [
    MemoryEffects<[MemWrite<Trec_Counters>]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "check, look up, dequantize and round in one";
  let description = [{
    The same bits as `trec.check_bounds`, `trec.lookup`, `trec.dequantize` and
    `trec.materialize` one after the other; where the result is rows of `i8`,
    `trec.stored_bytes` takes the place of the last two. With `remap` the ids are
    checked against that map and mapped before the lookup.

    ```mlir
    trec.table @ads : !trec.table<1000x16, int8, #trec.row_layout<header = f16>>
    func.func @f(%ids: !trec.jagged<index>) -> !trec.jagged<vector<16xf32>> {
      %rows = trec.embedding @ads[%ids] bounds warning : !trec.jagged<vector<16xf32>>
      return %rows : !trec.jagged<vector<16xf32>>
    }
    ```

    Constraints:
    * C1: the symbol names a `trec.table`.
    * C2: the result is a vector of the dim of the table, or one of `i8` of the
      bytes of a row without padding.
    * C3: a remap names a `trec.parameter` that maps ids.
  }];
  let arguments = (ins FlatSymbolRefAttr:$table, Trec_Ids:$ids,
                       OptionalAttr<FlatSymbolRefAttr>:$remap, Trec_BoundsPolicyAttr:$policy);
  let results = (outs Trec_OutputRows:$rows);
  let assemblyFormat = [{
    $table `[` $ids `]` (`remap` $remap^)? `bounds` custom<BoundsKeyword>($policy)
    attr-dict `:` type($rows)
  }];
}

def Trec_EmptyOp : Trec_Op<"empty", [Pure]> {
  let summary = "an output that is not yet written";
  let description = [{
    The destination of groups: a KeyedTensor, or a dict of either kind. Reading
    what no group has written gives an unspecified value.

    ```mlir
    !keyed = !trec.keyed_tensor<["ad_id"], [16], f32>
    func.func @f() -> !keyed {
      %out = trec.empty : !keyed
      return %out : !keyed
    }
    ```
  }];
  let results = (outs Trec_OutputType:$output);
  let assemblyFormat = "attr-dict `:` type($output)";
}

class Trec_GroupLikeOp<string mnemonic, list<Trait> traits>
    : Trec_Op<mnemonic, traits # [
        MemoryEffects<[MemWrite<Trec_Counters>]>, AllTypesMatch<["dest", "result"]>,
        DeclareOpInterfaceMethods<SymbolUserOpInterface>]>;

def Trec_EmbeddingBagGroupOp : Trec_GroupLikeOp<"embedding_bag_group", [
    DeclareOpInterfaceMethods<Trec_LookupGroupInterface,
        ["getBatches", "getRowType", "getPoolingMode", "getWeighting", "getRemapKind",
         "getOutputElement"]>]> {
  let summary = "all lookups of one configuration";
  let description = [{
    Runs one `trec.embedding_bag` per entry of `bags` and writes each into its
    columns of `dest`, a KeyedTensor or one tensor of a dict. What the entries
    share is the configuration: type of row, pooling, weighted or not, policy,
    element of the output. One kernel serves the group; `lowering` says how it is
    run on a CPU, `gpu_lowering` how on a GPU. Features may be of several batches.

    ```mlir
    #layout = #trec.row_layout<header = f16>
    !kjt = !trec.kjt<["ad_id", "page_id"]>
    !keyed = !trec.keyed_tensor<["ad_id", "page_id"], [16, 16], f32>
    trec.table @ads : !trec.table<1000x16, int8, #layout>
    trec.table @pages : !trec.table<50x16, int8, #layout>
    func.func @f(%kjt: !kjt, %empty: !keyed) -> !keyed {
      %out = trec.embedding_bag_group sum %kjt into %empty
          [#trec.bag<@ads, "ad_id", 0>, #trec.bag<@pages, "page_id", 16>]
          rows !trec.row<16, int8, #layout> bounds warning
          lowering <vector_width = 8, accumulators = 2, prefetch_distance = 16> : !kjt, !keyed
      return %out : !keyed
    }
    ```

    Constraints:
    * C1: there is at least one bag.
    * C2: each table symbol names a `trec.table` with rows of type `row`.
    * C3: the batch of each bag is one of the group, and has its feature.
    * C4: the output of each bag is one of the group, and its columns are within.
    * C5: bags of a weighted group have a weighted batch, and no weights.
    * C6: either all bags have weights or none has.
    * C7: weights of bags name a `trec.parameter` of f32.
    * C8: the remaps of all bags are maps of one kind, or no bag has one.
    * C9: remaps of bags name a `trec.parameter` that maps ids.
    * C10: `certified` of the lowering is `in_order` for rows of floats, and for
      weighted rows unless `numerics` is `relaxed`; `row_pairs` is for rows of
      INT2.
  }];
  // The type of the result is inferred from dest, the first operand.
  let arguments = (ins Trec_PoolingAttr:$pooling, Trec_DenseOutputType:$dest,
                       Variadic<Trec_KJTType>:$kjts,
                       TypedArrayAttrBase<Trec_BagAttr, "bags">:$bags,
                       TypeAttrOf<Trec_RowType>:$row, UnitAttr:$weighted,
                       Trec_BoundsPolicyAttr:$policy, OptionalAttr<Trec_LoweringConfigAttr>:$lowering,
                       OptionalAttr<Trec_GPULoweringConfigAttr>:$gpu_lowering);
  let results = (outs Trec_DenseOutputType:$result);
  let assemblyFormat = [{
    custom<PoolingKeyword>($pooling) (`weighted` $weighted^)? $kjts `into` $dest $bags
    `rows` $row `bounds` custom<BoundsKeyword>($policy) (`lowering` $lowering^)?
    (`gpu_lowering` $gpu_lowering^)? attr-dict `:` custom<GroupTypes>(type($kjts), type($dest))
  }];
  let hasVerifier = 1;
}

def Trec_EmbeddingGroupOp : Trec_GroupLikeOp<"embedding_group", [
    DeclareOpInterfaceMethods<Trec_LookupGroupInterface,
        ["getBatches", "getRowType", "getPoolingMode", "getWeighting", "getRemapKind",
         "getOutputElement"]>]> {
  let summary = "all lookups of one configuration, without pooling";
  let description = [{
    Runs one `trec.embedding` per entry of `bags` and makes each the value of its
    key of `dest`. What the entries share is the type of row, the policy and the
    element of the output. One kernel serves the group; `lowering` says how it is
    run on a CPU, `gpu_lowering` how on a GPU.

    ```mlir
    #layout = #trec.row_layout<header = f16>
    !kjt = !trec.kjt<["ad_id"]>
    !dict = !trec.jagged_dict<["ad_id"], [16], f32>
    trec.table @ads : !trec.table<1000x16, int8, #layout>
    func.func @f(%kjt: !kjt, %empty: !dict) -> !dict {
      %out = trec.embedding_group %kjt into %empty [#trec.bag<@ads, "ad_id", 0>]
          rows !trec.row<16, int8, #layout> bounds warning : !kjt, !dict
      return %out : !dict
    }
    ```

    Constraints:
    * C1: there is at least one bag.
    * C2: each table symbol names a `trec.table` with rows of type `row`.
    * C3: the batch has each feature.
    * C4: the key of each bag is one of the output and has the dim of the row, or
      where the output is of `i8` the row's bytes without padding.
    * C5: bags have no weights.
    * C6: the remaps of all bags are maps of one kind, or no bag has one.
    * C7: remaps of bags name a `trec.parameter` that maps ids.
    * C8: `certified` of the lowering is `in_order`.
  }];
  let arguments = (ins Trec_KJTType:$kjt, Trec_JaggedDictType:$dest,
                       TypedArrayAttrBase<Trec_BagAttr, "bags">:$bags,
                       TypeAttrOf<Trec_RowType>:$row, Trec_BoundsPolicyAttr:$policy,
                       OptionalAttr<Trec_LoweringConfigAttr>:$lowering,
                       OptionalAttr<Trec_GPULoweringConfigAttr>:$gpu_lowering);
  let results = (outs Trec_JaggedDictType:$result);
  let assemblyFormat = [{
    $kjt `into` $dest $bags `rows` $row `bounds` custom<BoundsKeyword>($policy)
    (`lowering` $lowering^)? (`gpu_lowering` $gpu_lowering^)? attr-dict
    `:` type($kjt) `,` type($dest)
  }];
  let hasVerifier = 1;
}

def Trec_DispatchOp : Trec_GroupLikeOp<"dispatch", []> {
  let summary = "run a kernel over the bags of a group";
  let description = [{
    What is left of a group when its kernel has become functions, one per integer
    type of the ids. `trec-emit-kernel-entries` turns all dispatches of a model
    into constant arrays of descriptors. A `certified` one has kernels that ask
    for the longest bags whose sums are exact in any order.

    ```mlir
    !kjt = !trec.kjt<["ad_id"]>
    !keyed = !trec.keyed_tensor<["ad_id"], [16], f32>
    !rows = memref<?x20xi8>
    !output = memref<?x16xf32, strided<[?, 1]>>
    trec.table @ads : !trec.table<1000x16, int8, #trec.row_layout<header = f16>>
    func.func private @bag_i32(!rows, memref<?xi32>, memref<?xi64>, memref<?xf32>, !output,
                               memref<2xi64>, memref<?xi32>, index, index, f32, index, index, index, index, index)
    func.func private @bag_i64(!rows, memref<?xi64>, memref<?xi64>, memref<?xf32>, !output,
                               memref<2xi64>, memref<?xi32>, index, index, f32, index, index, index, index, index)
    func.func @f(%kjt: !kjt, %empty: !keyed) -> !keyed {
      %out = trec.dispatch @bag_i32, @bag_i64(%kjt) into %empty [#trec.bag<@ads, "ad_id", 0>]
          bounds warning : !kjt, !keyed
      return %out : !keyed
    }
    ```

    Constraints:
    * C1: there is at least one bag.
    * C2: each table symbol names a `trec.table`.
    * C3: the batch of each bag is one of the dispatch, and has its feature.
    * C4: both kernels name a `func.func` with the arguments of a kernel: memrefs
      of rank 2, 1, 1, 1, 2, 1 and 1, two indexes, an f32 and four indexes; and without
      results.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel_i32, FlatSymbolRefAttr:$kernel_i64,
                       Trec_OutputType:$dest, Variadic<Trec_KJTType>:$kjts,
                       TypedArrayAttrBase<Trec_BagAttr, "bags">:$bags,
                       Trec_BoundsPolicyAttr:$policy, UnitAttr:$certified);
  let results = (outs Trec_OutputType:$result);
  let assemblyFormat = [{
    $kernel_i32 `,` $kernel_i64 `(` $kjts `)` `into` $dest $bags
    `bounds` custom<BoundsKeyword>($policy) (`certified` $certified^)? attr-dict
    `:` custom<GroupTypes>(type($kjts), type($dest))
  }];
  let hasVerifier = 1;
}

#endif // TREC_IR_TRECFUSEDOPS_TD
