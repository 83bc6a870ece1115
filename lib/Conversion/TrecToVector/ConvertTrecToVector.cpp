//===- ConvertTrecToVector.cpp - Turn groups of lookups into CPU kernels --===//
//
// Replaces each group by two kernels, for ids of 32 and of 64 bits, and a
// dispatch that names them:
//
//   %1 = trec.embedding_bag_group sum %kjt into %0 [bags] rows … lowering <…>
//
// becomes
//
//   func.func private @bag_sum_int8x128_align16_f32_i32(…) { scf.for … }
//   func.func private @bag_sum_int8x128_align16_f32_i64(…) { scf.for … }
//   %1 = trec.dispatch @bag_…_i32, @bag_…_i64(%kjt) into %0 [bags] …
//
//===----------------------------------------------------------------------===//

#include "BagKernel.h"
#include "trec/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::trec {
#define GEN_PASS_DEF_CONVERTTRECTOVECTORPASS
#include "trec/Conversion/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

/// Makes the kernel of a group for one type of id. The symbol table renames it
/// where two groups differ only in their lowering.
static FlatSymbolRefAttr makeKernel(LookupGroupInterface group, unsigned idBits,
                                    SymbolTable &symbols) {
  MLIRContext *context = group.getContext();
  OpBuilder builder(context);
  func::FuncOp kernel =
      buildBagKernel(builder, group.getLoc(), BagConfiguration::of(group),
                     IntegerType::get(context, idBits));
  return FlatSymbolRefAttr::get(symbols.insert(kernel));
}

static LogicalResult convertGroup(LookupGroupInterface group,
                                  SymbolTable &symbols) {
  if (!group.getLoweringAttr())
    return group->emitOpError(
        "expected a lowering, such as trec-select-lowering writes");
  FlatSymbolRefAttr kernel32 = makeKernel(group, 32, symbols);
  FlatSymbolRefAttr kernel64 = makeKernel(group, 64, symbols);
  OpBuilder builder(group);
  UnitAttr certified = BagConfiguration::of(group).isCertified()
                           ? builder.getUnitAttr()
                           : UnitAttr();
  auto dispatch = DispatchOp::create(
      builder, group.getLoc(), group.getDest().getType(), kernel32, kernel64,
      group.getDest(), group.getBatches(), group.getBags(),
      group.getPolicyAttr(), certified);
  group->replaceAllUsesWith(dispatch);
  group->erase();
  return success();
}

namespace {

struct ConvertTrecToVectorPass
    : public trec::impl::ConvertTrecToVectorPassBase<ConvertTrecToVectorPass> {
  using ConvertTrecToVectorPassBase::ConvertTrecToVectorPassBase;

  void runOnOperation() override {
    SmallVector<LookupGroupInterface> groups;
    getOperation().walk([&](LookupGroupInterface op) { groups.push_back(op); });
    SymbolTable symbols(getOperation());
    for (LookupGroupInterface group : groups) {
      if (failed(convertGroup(group, symbols)))
        return signalPassFailure();
      numKernels += 2;
    }
  }
};

} // namespace
