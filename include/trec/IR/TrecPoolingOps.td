//===- TrecPoolingOps.td - Pooling and the pooled output ----------*- tablegen -*-===//
//
// Pools bags of rows and assembles the KeyedTensor.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECPOOLINGOPS_TD
#define TREC_IR_TRECPOOLINGOPS_TD

include "trec/IR/TrecOpBase.td"

def Trec_PoolOp : Trec_Op<"pool", [
    Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "make one row of each bag of rows";
  let description = [{
    In the order of the bag, in fp32, from `acc = +0`:
    * a row of codes: `acc = acc + b`, then `acc = fma(q, s, acc)`;
    * a row of floats: `acc = acc + v`, or `acc = fma(w, v, acc)` where it was
      weighted.

    `mean` then multiplies by `1.0f / n`, n being the number of ids of the bag. An
    empty bag gives +0. These are FBGEMM's CPU numbers, bit for bit.

    ```mlir
    !values = !trec.jagged<!trec.dequantized<16>>
    func.func @f(%values: !values) -> tensor<?x16xf32> {
      %pooled = trec.pool sum %values : !values
      return %pooled : tensor<?x16xf32>
    }
    ```
  }];
  let arguments = (ins Trec_PoolingAttr:$pooling, Trec_DequantizedRows:$values);
  let results = (outs 2DTensorOf<[F32]>:$pooled);
  let assemblyFormat = "custom<PoolingKeyword>($pooling) $values attr-dict `:` type($values)";
}

def Trec_CastOutputOp : Trec_Op<"cast_output", [Pure]> {
  let summary = "round pooled rows to the output type";
  let description = [{
    To f16: nearest, ties to even, too large gives infinity. To bf16: as FBGEMM,
    `(bits + 0x8000) >> 16`. To f32: nothing, and the op folds away.

    ```mlir
    func.func @f(%pooled: tensor<?x16xf32>) -> tensor<?x16xf16> {
      %half = trec.cast_output %pooled : tensor<?x16xf32> -> tensor<?x16xf16>
      return %half : tensor<?x16xf16>
    }
    ```

    Constraints:
    * C1: the result has the shape of the operand.
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$pooled);
  let results = (outs 2DTensorOf<[F32, F16, BF16]>:$result);
  let assemblyFormat = "$pooled attr-dict `:` type($pooled) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Trec_KeyedTensorOp : Trec_Op<"keyed_tensor", [Pure]> {
  let summary = "put pooled features side by side";
  let description = [{
    Operand i fills the columns of key i.

    ```mlir
    !keyed = !trec.keyed_tensor<["ad_id", "user_id"], [16, 8], f32>
    func.func @f(%ad: tensor<?x16xf32>, %user: tensor<?x8xf32>) -> !keyed {
      %out = trec.keyed_tensor %ad, %user : (tensor<?x16xf32>, tensor<?x8xf32>) -> !keyed
      return %out : !keyed
    }
    ```

    Constraints:
    * C1: there is one operand per key of the result.
    * C2: each operand has the dim and the element of its key.
  }];
  let arguments = (ins Variadic<2DTensorOf<[F32, F16, BF16]>>:$pooled);
  let results = (outs Trec_KeyedTensorType:$keyed);
  let assemblyFormat = "$pooled attr-dict `:` functional-type($pooled, $keyed)";
  let hasVerifier = 1;
}

def Trec_RegroupOp : Trec_Op<"regroup", [Pure]> {
  let summary = "put keys of KeyedTensors side by side in new tensors";
  let description = [{
    The tensor of key i of the result holds the columns of the keys of group i,
    in the order of the group. A key may be in several groups, and in none. It is
    TorchRec's `KTRegroupAsDict`.

    ```mlir
    !ads = !trec.keyed_tensor<["ad_id", "page_id"], [16, 8], f32>
    !users = !trec.keyed_tensor<["user_id"], [8], f32>
    !dict = !trec.tensor_dict<["dense", "user"], [24, 8], f32>
    func.func @f(%ads: !ads, %users: !users) -> !dict {
      %dict = trec.regroup %ads, %users [["user_id", "ad_id"], ["page_id"]]
          : (!ads, !users) -> !dict
      return %dict : !dict
    }
    ```

    Constraints:
    * C1: there is one group per key of the result, and no group is empty.
    * C2: each key of a group is one key of one operand.
    * C3: each dim of the result is the sum of the dims of its group.
    * C4: the operands have the element of the result.
  }];
  let arguments = (ins Variadic<Trec_KeyedTensorType>:$keyed,
                       TypedArrayAttrBase<StrArrayAttr, "groups of keys">:$groups);
  let results = (outs Trec_TensorDictType:$dict);
  let assemblyFormat = "$keyed $groups attr-dict `:` functional-type($keyed, $dict)";
  let hasVerifier = 1;
}

#endif // TREC_IR_TRECPOOLINGOPS_TD
