//===- TrecFusedOps.td - Fused lookups and groups of them ---------*- tablegen -*-===//
//
// What fusion makes of the import layer, and what grouping makes of that.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECFUSEDOPS_TD
#define TREC_IR_TRECFUSEDOPS_TD

include "trec/IR/TrecOpBase.td"

def Trec_EmbeddingBagOp : Trec_Op<"embedding_bag", [
    MemoryEffects<[MemWrite<Trec_Counters>]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "check, look up, dequantize, weight, pool and round in one";
  let description = [{
    The same bits as `trec.check_bounds`, `trec.lookup`, `trec.dequantize`,
    `trec.weight` (where there are weights), `trec.pool` and `trec.cast_output`
    one after the other, without a row in between.

    Constraints:
    * C1: the symbol names a `trec.table`.
    * C2: the columns of the result are the dim of the table.
  }];
  let arguments = (ins Trec_PoolingAttr:$pooling, FlatSymbolRefAttr:$table, Trec_Ids:$ids,
                       Optional<Trec_Weights>:$weights, Trec_BoundsPolicyAttr:$policy);
  let results = (outs 2DTensorOf<[F32, F16, BF16]>:$pooled);
  let assemblyFormat = [{
    custom<PoolingKeyword>($pooling) $table `[` $ids `]` (`weights` $weights^)?
    `bounds` custom<BoundsKeyword>($policy) attr-dict `:` type($pooled)
  }];
}

def Trec_EmbeddingOp : Trec_Op<"embedding", [
    MemoryEffects<[MemWrite<Trec_Counters>]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "check, look up, dequantize and round in one";
  let description = [{
    The same bits as `trec.check_bounds`, `trec.lookup`, `trec.dequantize` and
    `trec.materialize` one after the other.

    Constraints:
    * C1: the symbol names a `trec.table`.
    * C2: the result is a vector of the dim of the table.
  }];
  let arguments = (ins FlatSymbolRefAttr:$table, Trec_Ids:$ids, Trec_BoundsPolicyAttr:$policy);
  let results = (outs Trec_FloatRows:$rows);
  let assemblyFormat = [{
    $table `[` $ids `]` `bounds` custom<BoundsKeyword>($policy) attr-dict `:` type($rows)
  }];
}

def Trec_EmptyOp : Trec_Op<"empty", [Pure]> {
  let summary = "an output whose columns are not yet written";
  let description = [{
    The destination of groups. Reading a column that no group has written gives an
    unspecified value.
  }];
  let results = (outs Trec_KeyedTensorType:$keyed);
  let assemblyFormat = "attr-dict `:` type($keyed)";
}

class Trec_GroupLikeOp<string mnemonic, list<Trait> traits>
    : Trec_Op<mnemonic, traits # [
        MemoryEffects<[MemWrite<Trec_Counters>]>, AllTypesMatch<["dest", "result"]>,
        DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let results = (outs Trec_KeyedTensorType:$result);
}

def Trec_EmbeddingBagGroupOp : Trec_GroupLikeOp<"embedding_bag_group", []> {
  let summary = "all lookups of one configuration";
  let description = [{
    Runs one `trec.embedding_bag` per entry of `bags` and writes each into its
    columns of `dest`. What the entries share is the configuration: type of row,
    pooling, weighted or not, policy, element of the output. One kernel serves
    the group; `lowering` says how it is run.

    Constraints:
    * C1: there is at least one bag.
    * C2: each table symbol names a `trec.table` with rows of type `row`.
    * C3: the batch has each feature.
    * C4: the columns of each bag are within the output.
    * C5: a weighted group has a weighted batch.
  }];
  let arguments = (ins Trec_PoolingAttr:$pooling, Trec_KJTType:$kjt, Trec_KeyedTensorType:$dest,
                       TypedArrayAttrBase<Trec_BagAttr, "bags">:$bags,
                       TypeAttrOf<Trec_RowType>:$row, UnitAttr:$weighted,
                       Trec_BoundsPolicyAttr:$policy, OptionalAttr<Trec_LoweringConfigAttr>:$lowering);
  let assemblyFormat = [{
    custom<PoolingKeyword>($pooling) (`weighted` $weighted^)? $kjt `into` $dest $bags
    `rows` $row `bounds` custom<BoundsKeyword>($policy) (`lowering` $lowering^)?
    attr-dict `:` type($kjt) `,` type($dest)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The type of the rows of all tables.
    ::mlir::trec::RowType getRowType() { return ::llvm::cast<::mlir::trec::RowType>(getRow()); }
  }];
}

def Trec_DispatchOp : Trec_GroupLikeOp<"dispatch", []> {
  let summary = "run a kernel over the bags of a group";
  let description = [{
    What is left of a group when its kernel has become functions, one per integer
    type of the ids. `trec-emit-kernel-entries` turns all dispatches of a model
    into constant arrays of descriptors.

    Constraints:
    * C1: there is at least one bag.
    * C2: each table symbol names a `trec.table`.
    * C3: the batch has each feature.
    * C4: both kernels name a `func.func`.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel_i32, FlatSymbolRefAttr:$kernel_i64,
                       Trec_KJTType:$kjt, Trec_KeyedTensorType:$dest,
                       TypedArrayAttrBase<Trec_BagAttr, "bags">:$bags,
                       Trec_BoundsPolicyAttr:$policy, UnitAttr:$weighted);
  let assemblyFormat = [{
    $kernel_i32 `,` $kernel_i64 (`weighted` $weighted^)? `(` $kjt `)` `into` $dest $bags
    `bounds` custom<BoundsKeyword>($policy) attr-dict `:` type($kjt) `,` type($dest)
  }];
  let hasVerifier = 1;
}

#endif // TREC_IR_TRECFUSEDOPS_TD
