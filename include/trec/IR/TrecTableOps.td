//===- TrecTableOps.td - Tables and lookups -----------------------*- tablegen -*-===//
//
// Declares tables, reads rows of them, and turns rows into numbers.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECTABLEOPS_TD
#define TREC_IR_TRECTABLEOPS_TD

include "trec/IR/TrecOpBase.td"

def Trec_TableOp : Trec_Op<"table", [Symbol, HasParent<"::mlir::ModuleOp">]> {
  let summary = "declare an embedding table";
  let description = [{
    A symbol for a table whose rows are bound when the compiled model is loaded.
    The symbol's name is the table's name in the weights file.

    ```mlir
    trec.table @ads : !trec.table<1000000x128, int8, #trec.row_layout<header = f16, align = 16>>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Trec_TableType>:$table_type);
  let assemblyFormat = "$sym_name attr-dict `:` $table_type";
  let extraClassDeclaration = [{
    /// The declared type.
    ::mlir::trec::TableType getType() {
      return ::llvm::cast<::mlir::trec::TableType>(getTableType());
    }
  }];
}

def Trec_ParameterOp : Trec_Op<"parameter", [Symbol, HasParent<"::mlir::ModuleOp">]> {
  let summary = "declare a small tensor that comes with the weights";
  let description = [{
    Position weights of a feature, or with `maps` a map of ids to the rows of a
    table: a row of -1 is one that is not stored. The number of entries of a map
    may be left open: it is then taken from the weights.

    ```mlir
    trec.parameter @position_weights : tensor<100xf32>
    trec.parameter @pruned maps <array> : tensor<?xi32>
    ```

    Constraints:
    * C1: weights are a static tensor of rank 1 of f32.
    * C2: a map is a tensor of the type that its kind is stored as.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<Trec_MapAttr>:$map,
                       TypeAttrOf<AnyRankedTensor>:$parameter_type);
  let assemblyFormat = "$sym_name (`maps` $map^)? attr-dict `:` $parameter_type";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The declared type.
    ::mlir::RankedTensorType getType() {
      return ::llvm::cast<::mlir::RankedTensorType>(getParameterType());
    }
    /// Weights, or entries of a map; nothing where the weights file says it.
    std::optional<int64_t> getNumEntries();
    int64_t getEntryBytes();
  }];
}

def Trec_CheckBoundsOp : Trec_Op<"check_bounds", [
    MemoryEffects<[MemWrite<Trec_Counters>]>, AllTypesMatch<["ids", "checked"]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "check ids against the rows of a table, or the ids of a map";
  let description = [{
    Gives the ids that a lookup may use: -1 stays, a good id stays, a bad one
    becomes what the policy says. Bad ids are counted, hence the effect: the op
    cannot be dropped, and its result is what the lookup reads.

    ```mlir
    trec.table @t : !trec.table<10x16, fp32, #trec.row_layout<header = none>>
    func.func @f(%ids: !trec.jagged<index>) -> !trec.jagged<index> {
      %checked = trec.check_bounds warning %ids in @t
      return %checked : !trec.jagged<index>
    }
    ```

    Constraints:
    * C1: the symbol names a `trec.table`, or a `trec.parameter` that maps ids:
      good ids are those that it may be asked for (`#trec.map`).
  }];
  let arguments = (ins Trec_BoundsPolicyAttr:$policy, Trec_Ids:$ids, FlatSymbolRefAttr:$table);
  let results = (outs Trec_Ids:$checked);
  let assemblyFormat = "custom<BoundsKeyword>($policy) $ids `in` $table attr-dict";
}

def Trec_RemapOp : Trec_Op<"remap", [
    Pure, AllTypesMatch<["ids", "remapped"]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "map ids to the rows of a table";
  let description = [{
    Each id becomes its row, which is -1 where the table does not store it; -1
    stays -1, unless the map is sorted. What the row of an id is, the kind of map
    says (`#trec.map`). The ids must be in bounds, as `trec.check_bounds` would
    see it; a map that cannot have the bad id's stand-in, 0, gives -1.

    ```mlir
    trec.parameter @map maps <array> : tensor<1000xi32>
    func.func @f(%ids: !trec.jagged<index>) -> !trec.jagged<index> {
      %stored = trec.remap %ids by @map
      return %stored : !trec.jagged<index>
    }
    ```

    Constraints:
    * C1: the symbol names a `trec.parameter` that maps ids.
  }];
  let arguments = (ins Trec_Ids:$ids, FlatSymbolRefAttr:$map);
  let results = (outs Trec_Ids:$remapped);
  let assemblyFormat = "$ids `by` $map attr-dict";
}

def Trec_LookupOp : Trec_Op<"lookup", [
    Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "read the rows of a table";
  let description = [{
    One stored row per id, in the order of the ids; an id of -1 gives no row, but
    is still counted in the length of its bag. The ids are in bounds: they come
    from `trec.check_bounds`.

    ```mlir
    #layout = #trec.row_layout<header = f16>
    !rows = !trec.jagged<!trec.row<16, int8, #layout>>
    trec.table @ads : !trec.table<1000x16, int8, #layout>
    func.func @f(%checked: !trec.jagged<index>) -> !rows {
      %rows = trec.lookup @ads[%checked] : !rows
      return %rows : !rows
    }
    ```

    Constraints:
    * C1: the symbol names a `trec.table`.
    * C2: the row type is that of the table.
  }];
  let arguments = (ins FlatSymbolRefAttr:$table, Trec_Ids:$ids);
  let results = (outs Trec_Rows:$rows);
  let assemblyFormat = "$table `[` $ids `]` attr-dict `:` type($rows)";
}

def Trec_DequantizeOp : Trec_Op<"dequantize", [
    Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "give stored rows their values";
  let description = [{
    A row of codes q with scale s and bias b (half floats widened to fp32) stands
    for `q * s + b`; fp16 elements are widened, fp32 elements stay. Nothing is
    rounded here.

    ```mlir
    !rows = !trec.jagged<!trec.row<16, int8, #trec.row_layout<header = f16>>>
    func.func @f(%rows: !rows) -> !trec.jagged<!trec.dequantized<16>> {
      %values = trec.dequantize %rows : !rows
      return %values : !trec.jagged<!trec.dequantized<16>>
    }
    ```
  }];
  let arguments = (ins Trec_Rows:$rows);
  let results = (outs Trec_DequantizedRows:$values);
  let assemblyFormat = "$rows attr-dict `:` type($rows)";
}

#endif // TREC_IR_TRECTABLEOPS_TD
