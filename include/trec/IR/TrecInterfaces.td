//===- TrecInterfaces.td - Interfaces of trec ops -----------------*- tablegen -*-===//
//
// What passes ask of groups of lookups, whether they pool or not.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECINTERFACES_TD
#define TREC_IR_TRECINTERFACES_TD

include "mlir/IR/OpBase.td"

def Trec_LookupGroupInterface : OpInterface<"LookupGroupInterface"> {
  let cppNamespace = "::mlir::trec";
  let description = [{
    All lookups of one configuration, in one op: `trec.embedding_bag_group` and
    `trec.embedding_group`.
  }];
  let methods = [
    InterfaceMethod<"The batches.", "::mlir::ValueRange", "getBatches">,
    InterfaceMethod<"The output that the group writes into.", "::mlir::Value", "getDest">,
    InterfaceMethod<"The lookups.", "::mlir::ArrayAttr", "getBags">,
    InterfaceMethod<"The type of the rows of all tables.", "::mlir::trec::RowType", "getRowType">,
    InterfaceMethod<"How rows are pooled; nothing where they are not.",
                    "::std::optional<::mlir::trec::Pooling>", "getPoolingMode">,
    InterfaceMethod<"Where the weights of rows come from.", "::mlir::trec::Weighting", "getWeighting">,
    InterfaceMethod<"The kind of the maps from ids to rows; nothing where ids are rows.",
                    "::std::optional<::mlir::trec::MapKind>", "getRemapKind">,
    InterfaceMethod<"What happens to a bad id.", "::mlir::trec::BoundsPolicyAttr", "getPolicyAttr">,
    InterfaceMethod<"How the group is run on a CPU; null where nothing has chosen.",
                    "::mlir::trec::LoweringConfigAttr", "getLoweringAttr">,
    InterfaceMethod<"Sets how the group is run on a CPU.", "void", "setLoweringAttr",
                    (ins "::mlir::trec::LoweringConfigAttr":$lowering)>,
    InterfaceMethod<"How the group is run on a GPU; null where nothing has chosen.",
                    "::mlir::trec::GPULoweringConfigAttr", "getGpuLoweringAttr">,
    InterfaceMethod<"Sets how the group is run on a GPU.", "void", "setGpuLoweringAttr",
                    (ins "::mlir::trec::GPULoweringConfigAttr":$lowering)>,
    InterfaceMethod<"Element of the output: f32, f16, bf16 or i8.", "::mlir::Type", "getOutputElement">
  ];
}

#endif // TREC_IR_TRECINTERFACES_TD
