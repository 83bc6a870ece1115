//===- PassArgumentsByValue.cpp - Let kernels take their struct by value --===//
//
//   llvm.func @f(%arg0: !llvm.ptr) attributes {nvvm.kernel,
//                                              trec.argument_bytes = 56 : i64}
//
// becomes
//
//   llvm.func @f(%arg0: !llvm.ptr {llvm.align = 8 : i64,
//                                  llvm.byval = !llvm.array<7 x i64>,
//                                  nvvm.grid_constant}) attributes
//                                  {nvvm.kernel}
//
//===----------------------------------------------------------------------===//

#include "ForwardKernel.h"
#include "trec/Conversion/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace mlir::trec {
#define GEN_PASS_DEF_PASSARGUMENTSBYVALUEPASS
#include "trec/Conversion/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

namespace {

struct PassArgumentsByValuePass
    : public trec::impl::PassArgumentsByValuePassBase<
          PassArgumentsByValuePass> {
  void runOnOperation() override {
    Builder b(&getContext());
    for (auto kernel : getOperation().getOps<LLVM::LLVMFuncOp>()) {
      auto bytes = kernel->getAttrOfType<IntegerAttr>(kArgumentBytesAttrName);
      if (!bytes)
        continue;
      // Every field has 8 bytes.
      auto type = LLVM::LLVMArrayType::get(b.getI64Type(), bytes.getInt() / 8);
      kernel.setArgAttr(0, LLVM::LLVMDialect::getByValAttrName(),
                        TypeAttr::get(type));
      kernel.setArgAttr(0, LLVM::LLVMDialect::getAlignAttrName(),
                        b.getI64IntegerAttr(8));
      kernel.setArgAttr(0, NVVM::NVVMDialect::getGridConstantAttrName(),
                        b.getUnitAttr());
      kernel->removeAttr(kArgumentBytesAttrName);
    }
  }
};

} // namespace
