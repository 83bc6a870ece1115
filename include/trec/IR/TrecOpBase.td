//===- TrecOpBase.td - What the op files share --------------------*- tablegen -*-===//
//
// The op base class and the type constraints of operands and results.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECOPBASE_TD
#define TREC_IR_TRECOPBASE_TD

include "trec/IR/TrecTypes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Trec_Op<string mnemonic, list<Trait> traits = []>
    : Op<Trec_Dialect, mnemonic, traits>;

/// Totals of bad ids, which a check of bounds adds to.
def Trec_Counters : Resource<"::mlir::trec::CountersResource">;

class Trec_JaggedOf<string predicate, string what>
    : Type<And<[CPred<"::llvm::isa<::mlir::trec::JaggedType>($_self)">,
                SubstLeaves<"$_self", "::llvm::cast<::mlir::trec::JaggedType>($_self).getElement()",
                            CPred<predicate>>]>, what, "::mlir::trec::JaggedType">;

def Trec_Ids : Trec_JaggedOf<"$_self.isIndex()", "jagged ids">,
    BuildableType<"::mlir::trec::JaggedType::get($_builder.getContext(), $_builder.getIndexType())">;
def Trec_Weights : Trec_JaggedOf<"$_self.isF32()", "jagged weights">,
    BuildableType<"::mlir::trec::JaggedType::get($_builder.getContext(), $_builder.getF32Type())">;
def Trec_Rows : Trec_JaggedOf<"::llvm::isa<::mlir::trec::RowType>($_self)", "jagged stored rows">;
def Trec_DequantizedRows
    : Trec_JaggedOf<"::llvm::isa<::mlir::trec::DequantizedType>($_self)", "jagged dequantized rows">;
class Trec_VectorsOf<string predicate, string what>
    : Trec_JaggedOf<"::llvm::isa<::mlir::VectorType>($_self) && "
                    "::llvm::cast<::mlir::VectorType>($_self).getElementType()." # predicate, what>;
def Trec_FloatRows : Trec_VectorsOf<"isFloat()", "jagged rows of floats">;
def Trec_ByteRows : Trec_VectorsOf<"isInteger(8)", "jagged rows of bytes">;
def Trec_OutputRows : Trec_VectorsOf<"isIntOrFloat()", "jagged rows of floats or bytes">;

def Trec_DenseOutputType : AnyTypeOf<[Trec_KeyedTensorType, Trec_TensorDictType]>;
def Trec_OutputType
    : AnyTypeOf<[Trec_KeyedTensorType, Trec_JaggedDictType, Trec_TensorDictType]>;

#endif // TREC_IR_TRECOPBASE_TD
