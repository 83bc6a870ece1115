//===- TrecTypes.td - Types of the trec dialect -------------------*- tablegen -*-===//
//
// Batches of ids, tables, rows and outputs.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECTYPES_TD
#define TREC_IR_TRECTYPES_TD

include "trec/IR/TrecAttrs.td"

class Trec_Type<string name, string mnemonic_> : TypeDef<Trec_Dialect, name> {
  let mnemonic = mnemonic_;
  let genVerifyDecl = 1;
}

def Trec_KJTType : Trec_Type<"KJT", "kjt"> {
  let summary = "a KeyedJaggedTensor: per key and sample, a bag of ids";
  let description = [{
    The batch that a model takes. The integer types of ids, lengths and offsets
    and the size of the batch are not part of the type: each is chosen per call.
    With `weighted` each id has an fp32 weight. The caller's batch may hold more
    keys, in any order.

    ```mlir
    func.func private @forward(!trec.kjt<["ad_id", "user_id"], weighted>)
    ```

    Constraints:
    * C1: there is at least one key.
    * C2: keys are not empty and differ from each other.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$keys, "bool":$weighted);
  let assemblyFormat = "`<` custom<BatchKeys>($keys, $weighted) `>`";
  let extraClassDeclaration = [{
    /// Position of `key`, or std::nullopt.
    std::optional<int64_t> getKeyIndex(::llvm::StringRef key) const;
  }];
}

def Trec_RowType : Trec_Type<"Row", "row"> {
  let summary = "one stored row of a table";
  let description = [{
    `dim` elements of type `weights`, as `layout` places them. For INT4 and INT2
    a last byte that `dim` does not fill has zeros in its high bits. FP8 is
    FBGEMM's: sign, 4 bits of exponent with bias 7, 3 of mantissa, all of them
    finite numbers.

    ```mlir
    func.func private @rows() -> !trec.jagged<!trec.row<128, int4, #trec.row_layout<header = f16, align = 16>>>
    ```

    Constraints:
    * C1: `dim` is from 1 to 16777216.
    * C2: integer rows have an `f16` header; rows of floats have none.
    * C3: the bytes of a padded row are a multiple of the element's size.
  }];
  let parameters = (ins "int64_t":$dim, EnumParameter<Trec_WeightsType>:$weights,
                        "::mlir::trec::RowLayoutAttr":$layout);
  let assemblyFormat = "`<` $dim `,` $weights `,` $layout `>`";
  let extraClassDeclaration = [{
    /// True for INT8, INT4 and INT2 rows: codes with a scale and a bias.
    bool isQuantized() const;
    /// Bits of one element.
    int64_t getBits() const;
    /// Bytes in front of the elements.
    int64_t getHeaderBytes() const;
    /// Bytes of the elements, without header and padding.
    int64_t getDataBytes() const;
    /// Bytes of header and elements, without padding.
    int64_t getUsedBytes() const;
    /// Bytes from one row of a table to the next.
    int64_t getRowBytes() const;
    /// Elements of the output row that a row of this type gives: its dim, or
    /// where `element` is i8 its bytes without padding.
    int64_t getOutputDim(::mlir::Type element) const;
  }];
}

def Trec_TableType : Trec_Type<"Table", "table"> {
  let summary = "an embedding table: rows of one type";
  let description = [{
    `?` rows: their number is taken from the weights when the model is loaded.

    ```mlir
    trec.table @ads  : !trec.table<1000000x128, int8, #trec.row_layout<header = f16, align = 16>>
    trec.table @user : !trec.table<?x64, fp16, #trec.row_layout<header = none>>
    ```

    Constraints:
    * C1: the number of rows is not negative.
    * C2: the row is a legal `!trec.row`.
    * C3: the number of bytes of all rows fits into an `int64_t`.
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$dim,
                        EnumParameter<Trec_WeightsType>:$weights,
                        "::mlir::trec::RowLayoutAttr":$layout);
  let assemblyFormat = "`<` custom<TableShape>($rows, $dim) `,` $weights `,` $layout `>`";
  let extraClassDeclaration = [{
    /// The type of one row.
    ::mlir::trec::RowType getRowType() const;
    /// True where the number of rows is known only at load.
    bool hasDynamicRows() const { return ::mlir::ShapedType::isDynamic(getRows()); }
  }];
}

def Trec_DequantizedType : Trec_Type<"Dequantized", "dequantized"> {
  let summary = "a row of real numbers, not yet rounded to floats";
  let description = [{
    `dim` values. A row of codes stays a triple (codes q, scale s, bias b) that
    stands for `q * s + b`; how that is rounded is defined where it is pooled
    (`trec.pool`) or stored (`trec.materialize`). A row of floats stands for
    itself.

    ```mlir
    func.func private @values() -> !trec.jagged<!trec.dequantized<128>>
    ```

    Constraints:
    * C1: `dim` is at least 1.
  }];
  let parameters = (ins "int64_t":$dim);
  let assemblyFormat = "`<` $dim `>`";
}

def Trec_JaggedType : Trec_Type<"Jagged", "jagged"> {
  let summary = "per sample a bag of any number of elements";
  let description = [{
    What a bag holds: `index` (ids), `f32` (weights), `!trec.row` (stored rows),
    `!trec.dequantized` or a vector (rows that an EmbeddingCollection returns:
    floats, or the bytes of stored rows).

    ```mlir
    func.func private @bags(!trec.jagged<index>, !trec.jagged<f32>) -> !trec.jagged<vector<128xf32>>
    ```

    Constraints:
    * C1: the element is `index`, `f32`, `!trec.row`, `!trec.dequantized`, or a
      vector of rank 1 of f32, f16, bf16 or i8.
  }];
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def Trec_KeyedTensorType : Trec_Type<"KeyedTensor", "keyed_tensor"> {
  let summary = "a KeyedTensor: per sample the pooled features side by side";
  let description = [{
    A dense `[batch, sum of dims]` matrix of `element`; key i owns `dims[i]`
    columns from the sum of the dims before it. Keys may repeat, as they do in
    TorchRec where one table holds one feature twice.

    ```mlir
    func.func private @output() -> !trec.keyed_tensor<["ad_id", "user_id"], [128, 64], f32>
    ```

    Constraints:
    * C1: there is at least one key, and as many dims as keys.
    * C2: dims are from 1 to 16777216.
    * C3: the element is f32, f16 or bf16.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$keys,
                        ArrayRefParameter<"int64_t">:$dims, "::mlir::Type":$element);
  let assemblyFormat = "`<` custom<NameList>($keys) `,` `[` $dims `]` `,` $element `>`";
  let extraClassDeclaration = [{
    /// Columns of one sample.
    int64_t getTotalDim() const;
  }];
}

def Trec_JaggedDictType : Trec_Type<"JaggedDict", "jagged_dict"> {
  let summary = "a dict of JaggedTensors, the output of an EmbeddingCollection";
  let description = [{
    Key i has rows of `dims[i]` elements. Rows of `i8` are stored rows: their dims
    are bytes, the header's among them.

    ```mlir
    func.func private @output() -> !trec.jagged_dict<["ad_id", "user_id"], [128, 64], f32>
    ```

    Constraints:
    * C1: there is at least one key, and as many dims as keys.
    * C2: dims are from 1 to 16777216, of `i8` to 67108864, the bytes of the
      widest rows.
    * C3: the element is f32, f16, bf16 or i8.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$keys,
                        ArrayRefParameter<"int64_t">:$dims, "::mlir::Type":$element);
  let assemblyFormat = "`<` custom<NameList>($keys) `,` `[` $dims `]` `,` $element `>`";
}

def Trec_TensorDictType : Trec_Type<"TensorDict", "tensor_dict"> {
  let summary = "a dict of tensors, what a regroup of KeyedTensors gives";
  let description = [{
    Per key a dense `[batch, dim]` matrix of `element`.

    ```mlir
    func.func private @output() -> !trec.tensor_dict<["dense", "user"], [192, 64], f32>
    ```

    Constraints:
    * C1: there is at least one key, and as many dims as keys.
    * C2: dims are at least 1.
    * C3: the element is f32, f16 or bf16.
    * C4: keys differ from each other.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$keys,
                        ArrayRefParameter<"int64_t">:$dims, "::mlir::Type":$element);
  let assemblyFormat = "`<` custom<NameList>($keys) `,` `[` $dims `]` `,` $element `>`";
}

#endif // TREC_IR_TRECTYPES_TD
