//===- TrecJaggedOps.td - Features of a batch and their weights ---*- tablegen -*-===//
//
// Takes features out of a KeyedJaggedTensor, weights rows, and assembles the
// dict of JaggedTensors that an EmbeddingCollection returns.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECJAGGEDOPS_TD
#define TREC_IR_TRECJAGGEDOPS_TD

include "trec/IR/TrecOpBase.td"

def Trec_FeatureOp : Trec_Op<"feature", [Pure]> {
  let summary = "take the ids of one key of the batch";
  let description = [{
    With `length` the caller promises that every bag of the key has so many ids.
    A batch that breaks the promise is an error when the model runs.

    ```mlir
    !kjt = !trec.kjt<["ad_id", "page_id"]>
    func.func @f(%kjt: !kjt) -> (!trec.jagged<index>, !trec.jagged<index>) {
      %ads = trec.feature %kjt "ad_id" : !kjt
      %pages = trec.feature %kjt "page_id" length 20 : !kjt
      return %ads, %pages : !trec.jagged<index>, !trec.jagged<index>
    }
    ```

    Constraints:
    * C1: the batch has the key.
    * C2: `length` is from 0 to 2147483647.
  }];
  let arguments = (ins Trec_KJTType:$kjt, StrAttr:$key, OptionalAttr<I64Attr>:$length);
  let results = (outs Trec_Ids:$ids);
  let assemblyFormat = "$kjt $key (`length` $length^)? attr-dict `:` type($kjt)";
  let hasVerifier = 1;
}

def Trec_SampleWeightsOp : Trec_Op<"sample_weights", [Pure]> {
  let summary = "take the per-sample weights of one key of the batch";
  let description = [{
    One fp32 weight per id, those of skipped ids included.

    ```mlir
    func.func @f(%kjt: !trec.kjt<["ad_id"], weighted>) -> !trec.jagged<f32> {
      %weights = trec.sample_weights %kjt "ad_id" : !trec.kjt<["ad_id"], weighted>
      return %weights : !trec.jagged<f32>
    }
    ```

    Constraints:
    * C1: the batch has the key.
    * C2: the batch is weighted.
  }];
  let arguments = (ins Trec_KJTType:$kjt, StrAttr:$key);
  let results = (outs Trec_Weights:$weights);
  let assemblyFormat = "$kjt $key attr-dict `:` type($kjt)";
  let hasVerifier = 1;
}

def Trec_PositionWeightsOp : Trec_Op<"position_weights", [
    Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "weight ids by their position in their bag";
  let description = [{
    The id at position p of its bag has weight `parameter[p]`. A bag longer than
    the parameter is an error when the model runs.

    ```mlir
    trec.parameter @decay : tensor<100xf32>
    func.func @f(%ids: !trec.jagged<index>) -> !trec.jagged<f32> {
      %weights = trec.position_weights %ids from @decay
      return %weights : !trec.jagged<f32>
    }
    ```

    Constraints:
    * C1: the symbol names a `trec.parameter` of f32.
  }];
  let arguments = (ins Trec_Ids:$ids, FlatSymbolRefAttr:$parameter);
  let results = (outs Trec_Weights:$weights);
  let assemblyFormat = "$ids `from` $parameter attr-dict";
}

def Trec_WeightOp : Trec_Op<"weight", [
    Pure, AllTypesMatch<["values", "weighted"]>]> {
  let summary = "multiply each row by its weight";
  let description = [{
    For rows of codes the scale and the bias are each multiplied by the weight and
    rounded to fp32; a row of floats keeps its weight beside it, for `trec.pool`
    to use in a fused multiply-add.

    ```mlir
    !rows = !trec.jagged<!trec.dequantized<16>>
    func.func @f(%values: !rows, %weights: !trec.jagged<f32>) -> !rows {
      %weighted = trec.weight %values by %weights : !rows
      return %weighted : !rows
    }
    ```
  }];
  let arguments = (ins Trec_DequantizedRows:$values, Trec_Weights:$weights);
  let results = (outs Trec_DequantizedRows:$weighted);
  let assemblyFormat = "$values `by` $weights attr-dict `:` type($values)";
}

def Trec_MaterializeOp : Trec_Op<"materialize", [Pure]> {
  let summary = "round each dequantized row to floats";
  let description = [{
    The row as `trec.pool sum` would give it for a bag of this row alone, then
    rounded to the element type as `trec.cast_output` does. The row of a skipped
    id is zeros.

    ```mlir
    !values = !trec.jagged<!trec.dequantized<16>>
    func.func @f(%values: !values) -> !trec.jagged<vector<16xf16>> {
      %rows = trec.materialize %values : !values -> !trec.jagged<vector<16xf16>>
      return %rows : !trec.jagged<vector<16xf16>>
    }
    ```

    Constraints:
    * C1: the result is a vector of the rows' dim.
  }];
  let arguments = (ins Trec_DequantizedRows:$values);
  let results = (outs Trec_FloatRows:$rows);
  let assemblyFormat = "$values attr-dict `:` type($values) `->` type($rows)";
  let hasVerifier = 1;
}

def Trec_StoredBytesOp : Trec_Op<"stored_bytes", [
    Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "give out stored rows as they are";
  let description = [{
    The bytes of each stored row, its header first, without its padding; nothing
    is dequantized. The row of a skipped id is zeros.

    ```mlir
    !rows = !trec.jagged<!trec.row<16, int8, #trec.row_layout<header = f16, align = 16>>>
    func.func @f(%rows: !rows) -> !trec.jagged<vector<20xi8>> {
      %bytes = trec.stored_bytes %rows : !rows
      return %bytes : !trec.jagged<vector<20xi8>>
    }
    ```
  }];
  let arguments = (ins Trec_Rows:$rows);
  let results = (outs Trec_ByteRows:$bytes);
  let assemblyFormat = "$rows attr-dict `:` type($rows)";
}

def Trec_JaggedDictOp : Trec_Op<"jagged_dict", [Pure]> {
  let summary = "assemble a dict of JaggedTensors";
  let description = [{
    ```mlir
    !rows = !trec.jagged<vector<16xf32>>
    !dict = !trec.jagged_dict<["ad_id", "page_id"], [16, 16], f32>
    func.func @f(%ads: !rows, %pages: !rows) -> !dict {
      %dict = trec.jagged_dict %ads, %pages : (!rows, !rows) -> !dict
      return %dict : !dict
    }
    ```

    Constraints:
    * C1: there is one operand per key of the result.
    * C2: each operand's vector has the dim and the element of its key.
  }];
  let arguments = (ins Variadic<Trec_OutputRows>:$rows);
  let results = (outs Trec_JaggedDictType:$dict);
  let assemblyFormat = "$rows attr-dict `:` functional-type($rows, $dict)";
  let hasVerifier = 1;
}

#endif // TREC_IR_TRECJAGGEDOPS_TD
