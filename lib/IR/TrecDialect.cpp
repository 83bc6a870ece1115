//===- TrecDialect.cpp - Registration and aliases of the dialect ----------===//
//
// Registers ops, and gives long types an alias: the type of a batch of a
// thousand keys is printed once, not on each op.
//
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::trec;

#include "trec/IR/TrecDialect.cpp.inc"

namespace {

struct TrecAsmInterface : public OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Type type, raw_ostream &os) const override {
    return TypeSwitch<Type, AliasResult>(type)
        .Case([&](KJTType) { return os << "kjt", AliasResult::FinalAlias; })
        .Case([&](KeyedTensorType) {
          return os << "keyed", AliasResult::FinalAlias;
        })
        .Case([&](JaggedDictType) {
          return os << "dict", AliasResult::FinalAlias;
        })
        .Case([&](TensorDictType) {
          return os << "groups", AliasResult::FinalAlias;
        })
        .Default([](Type) { return AliasResult::NoAlias; });
  }

  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    if (!isa<RowLayoutAttr>(attr))
      return AliasResult::NoAlias;
    os << "layout";
    return AliasResult::FinalAlias;
  }
};

} // namespace

void TrecDialect::initialize() {
  registerAttributes();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "trec/IR/TrecOps.cpp.inc"
      >();
  addInterfaces<TrecAsmInterface>();
}
