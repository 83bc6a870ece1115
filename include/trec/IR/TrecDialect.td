//===- TrecDialect.td - The trec dialect --------------------------*- tablegen -*-===//
//
// The dialect itself; types, attributes and ops are in the files beside this one.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECDIALECT_TD
#define TREC_IR_TRECDIALECT_TD

include "mlir/IR/OpBase.td"

def Trec_Dialect : Dialect {
  let name = "trec";
  let cppNamespace = "::mlir::trec";
  let summary = "lookups in quantized embedding tables";
  let description = [{
    Holds a TorchRec module of quantized embedding tables, from the definition
    that an importer writes to the kernels that a CPU or GPU runs.

    There are two layers. The *import layer* has one op per idea: take a feature
    of the batch, check its ids, look rows up, dequantize them, weight them, pool
    them, assemble the outputs. Read one after the other, its ops are a
    definition of what TorchRec and FBGEMM compute, to the bit. The *fused layer*
    has one op per lookup (`trec.embedding_bag`, `trec.embedding`), then one per
    configuration of tables (`trec.embedding_bag_group`), each with the attribute
    that says how it will be run.

    Ops have value semantics in both layers. Weights are never in the IR: a
    `trec.table` is a symbol, bound to memory when the compiled model is loaded.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 0;
  let dependentDialects = ["::mlir::func::FuncDialect"];
  let extraClassDeclaration = [{
    /// Name of the module attribute that holds the version of the import
    /// contract, an i32.
    static constexpr ::llvm::StringLiteral kContractAttrName = "trec.contract";
    /// The version of the import contract that this compiler reads.
    static constexpr int32_t kContractVersion = 1;

    void registerAttributes();
    void registerTypes();
  }];
}

#endif // TREC_IR_TRECDIALECT_TD
