//===- ConvertTrecToGPU.cpp - Turn groups of lookups into a GPU kernel ----===//
//
//   trec.table @ads : …
//   func.func @forward(%kjt: …) { … trec.embedding_bag_group … gpu_lowering … }
//
// becomes
//
//   gpu.module @trec_gpu {
//     gpu.func @trec_forward_i32(%launch: !llvm.ptr) kernel { … }
//     gpu.func @trec_forward_i64(%launch: !llvm.ptr) kernel { … }
//     gpu.func @trec_scan_lengths(%scan: !llvm.ptr) kernel { … }
//   }
//
//===----------------------------------------------------------------------===//

#include "ForwardKernel.h"
#include "ScanKernel.h"
#include "trec/Conversion/KernelGeometry.h"
#include "trec/Conversion/Passes.h"
#include "trec/IR/EraseModel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::trec {
#define GEN_PASS_DEF_CONVERTTRECTOGPUPASS
#include "trec/Conversion/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

/// What NVPTX says of types; without it integers of 64 bits are loaded in
/// halves.
static constexpr StringLiteral kDataLayout =
    "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64";

/// What belongs to the one kernel, not to a case of it.
static auto getKernelWide(GPULoweringConfigAttr lowering) {
  return std::tuple(lowering.getWarps(), lowering.getBlocksPerSm(),
                    lowering.getFewBlocksPerSm(), lowering.getNumerics());
}

static LogicalResult checkSchedule(LookupGroupInterface group,
                                   const BagConfiguration &configuration) {
  if (std::optional<std::string> misfit = findScheduleMisfit(configuration))
    return group->emitOpError(*misfit); // C4, C5, C6
  return success();
}

static LogicalResult checkLowering(LookupGroupInterface group,
                                   LookupGroupInterface first) {
  GPULoweringConfigAttr lowering = group.getGpuLoweringAttr();
  if (!lowering) // C1
    return group->emitOpError("expected a gpu_lowering: run "
                              "trec-select-gpu-lowering before this pass");
  BagConfiguration configuration = BagConfiguration::of(group);
  if (configuration.isCopy()) // C3
    return group->emitOpError("expected an output of floats: stored rows are "
                              "not handed out by GPUs");
  if (failed(checkSchedule(group, configuration)) ||
      failed(checkSchedule(group, configuration.getForFewBags())))
    return failure();
  if (getKernelWide(lowering) == getKernelWide(first.getGpuLoweringAttr()))
    return success();
  InFlightDiagnostic diagnostic =
      group->emitOpError() << "expected the warps, blocks_per_sm, "
                              "few_blocks_per_sm and numerics of the first "
                              "group, got "
                           << lowering; // C2
  diagnostic.attachNote(first->getLoc())
      << "the first group has " << first.getGpuLoweringAttr();
  return diagnostic;
}

/// The only batch that the model of a group takes, or null.
static KJTType getOnlyBatch(LookupGroupInterface group) {
  auto model = group->getParentOfType<FunctionOpInterface>();
  KJTType found;
  for (Type type : model.getArgumentTypes())
    if (auto batch = dyn_cast<KJTType>(type)) {
      if (found)
        return {};
      found = batch;
    }
  return found;
}

/// Whether all lookups write to the one tensor that the model makes.
static bool hasOneOutput(LookupGroupInterface group) {
  return group.getPoolingMode() &&
         isa<KeyedTensorType>(group.getDest().getType());
}

/// Whether each key has lookups, and all of them promise how many ids its bags
/// have.
static bool promisesAll(ArrayRef<LookupGroupInterface> groups, KJTType batch) {
  llvm::DenseSet<Attribute> promised;
  for (LookupGroupInterface group : groups)
    for (BagAttr bag : group.getBags().getAsRange<BagAttr>()) {
      if (!bag.getLength())
        return false;
      promised.insert(bag.getFeature());
    }
  return llvm::all_of(batch.getKeys(),
                      [&](Attribute key) { return promised.contains(key); });
}

static ModelShape getShape(ArrayRef<LookupGroupInterface> groups) {
  KJTType batch = getOnlyBatch(groups.front());
  return {bool(batch), llvm::all_of(groups, hasOneOutput),
          batch && promisesAll(groups, batch)};
}

namespace {

struct ConvertTrecToGPUPass
    : public trec::impl::ConvertTrecToGPUPassBase<ConvertTrecToGPUPass> {
  void runOnOperation() override;
};

} // namespace

void ConvertTrecToGPUPass::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<LookupGroupInterface> groups;
  module.walk([&](LookupGroupInterface group) { groups.push_back(group); });
  if (groups.empty())
    return;
  std::vector<BagConfiguration> configurations;
  for (LookupGroupInterface group : groups) {
    if (failed(checkLowering(group, groups.front())))
      return signalPassFailure();
    configurations.push_back(BagConfiguration::of(group));
    ++numConfigurations;
  }
  ModelShape shape = getShape(groups);
  Location loc = module.getLoc();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto kernels = gpu::GPUModuleOp::create(builder, loc, kGPUModuleName);
  kernels->setAttr(LLVM::LLVMDialect::getDataLayoutAttrName(),
                   builder.getStringAttr(kDataLayout));
  builder.setInsertionPointToStart(kernels.getBody());
  for (unsigned bits : {32, 64}) {
    IntegerType idType = builder.getIntegerType(bits);
    buildForwardKernel(builder, loc, configurations, shape, idType,
                       ForwardLaunch::ManyBags);
    if (hasFewKernels(configurations))
      buildForwardKernel(builder, loc, configurations, shape, idType,
                         ForwardLaunch::FewBags);
    if (hasSharedKernels(configurations))
      buildForwardKernel(builder, loc, configurations, shape, idType,
                         ForwardLaunch::SharedBags);
  }
  buildScanKernel(builder, loc);
  eraseModel(module);
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                  builder.getUnitAttr());
}
