//===- ForwardKernel.cpp - The kernel that runs all lookups ---------------===//

#include "ForwardKernel.h"
#include "StepReport.h"
#include "Steps.h"
#include "trec/Runtime/DeviceABI.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class ForwardKernelBuilder {
public:
  ForwardKernelBuilder(OpBuilder &builder, Location loc,
                       ArrayRef<BagConfiguration> configurations,
                       IntegerType idType)
      : b(builder, loc), configurations(configurations), idType(idType) {}

  gpu::GPUFuncOp build();

private:
  void checkBatches(LaunchArgument &launch);
  void checkBatch(LaunchArgument &launch, Value batch);
  Value findSpan(LaunchArgument &launch, Value block);
  Lookup findLookup(LaunchArgument &launch);
  void runSteps(LaunchArgument &launch, const Lookup &lookup);
  StepResult switchToConfiguration(const Lookup &lookup, Value kernel,
                                   Value step);

  DeviceBuilder b;
  ArrayRef<BagConfiguration> configurations;
  IntegerType idType;
  Value part, numParts; // of the lookup: the block's and all; i32
};

} // namespace

gpu::GPUFuncOp mlir::trec::createKernel(OpBuilder &builder, Location loc,
                                        StringRef name, int64_t argumentBytes,
                                        int64_t threads) {
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  auto kernel = gpu::GPUFuncOp::create(builder, loc, name,
                                       builder.getFunctionType({pointer}, {}));
  kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                  builder.getUnitAttr());
  kernel.setKnownBlockSizeAttr(
      builder.getDenseI32ArrayAttr({int32_t(threads), 1, 1}));
  kernel->setAttr(kArgumentBytesAttrName,
                  builder.getI64IntegerAttr(argumentBytes));
  return kernel;
}

/// What no lookup reads: that a batch's first offset is 0 and its last the
/// number of its values.
void ForwardKernelBuilder::checkBatch(LaunchArgument &launch, Value batch) {
  auto load = [&](int64_t offset) {
    return launch.load(offsetof(trec_gpu_launch, batches), batch,
                       sizeof(trec_gpu_batch), offset);
  };
  Lookup lookup;
  lookup.offsets = load(offsetof(trec_gpu_batch, offsets));
  Value bytes = load(offsetof(trec_gpu_batch, offsets_bytes));
  lookup.hasWideOffsets = b.compare(Predicate::eq, bytes, 8);
  Value numValues = load(offsetof(trec_gpu_batch, num_values));
  Value numKeys = load(offsetof(trec_gpu_batch, num_keys));
  Value batchSize = launch.load(offsetof(trec_gpu_launch, batch_size));
  Value count = b.multiply(numKeys, batchSize);
  Value zero = b.i64(0);
  Value first = lookup.loadOffset(b, zero);
  Value last = lookup.loadOffset(b, count);
  Value firstIsBad = b.compare(Predicate::ne, first, 0);
  Value lastIsBad = b.compare(Predicate::ne, last, numValues);
  b.doIf(b.either(firstIsBad, lastIsBad), [&] {
    Value position = b.select(firstIsBad, zero, count);
    Value value = b.select(firstIsBad, first, last);
    Value kind = b.i64(TREC_GPU_BAD_OFFSET), none = b.i64(-1);
    DeviceReport report(b, launch.load(offsetof(trec_gpu_launch, report)));
    report.write({kind, b.zeroExtend(batch), /*bag=*/none, /*sample=*/none,
                  /*begin=*/zero, position, value});
  });
}

/// One thread of the first block for each batch.
void ForwardKernelBuilder::checkBatches(LaunchArgument &launch) {
  Value batch = b.threadId();
  Value numBatches =
      b.truncate(launch.load(offsetof(trec_gpu_launch, num_batches)));
  Value isFirstBlock = b.compare(Predicate::eq, b.blockId(), 0);
  Value isBatch = b.compare(Predicate::slt, batch, numBatches);
  b.doIf(b.both(isFirstBlock, isBatch), [&] { checkBatch(launch, batch); });
}

/// The last span that begins at the block or before it; i32.
Value ForwardKernelBuilder::findSpan(LaunchArgument &launch, Value block) {
  Value wide = b.zeroExtend(block);
  Value numSpans = launch.load(offsetof(trec_gpu_launch, num_spans));
  Value span = b.i32(0);
  for (int64_t i = 1; i < TREC_GPU_MAX_SPANS; ++i) {
    Value first = launch.load(offsetof(trec_gpu_launch, spans) +
                              i * sizeof(trec_gpu_span) +
                              offsetof(trec_gpu_span, first_block));
    Value exists = b.compare(Predicate::sgt, numSpans, i);
    Value hasBegun = b.compare(Predicate::sge, wide, first);
    Value number = b.i32(i);
    span = b.select(b.both(exists, hasBegun), number, span);
  }
  return span;
}

Lookup ForwardKernelBuilder::findLookup(LaunchArgument &launch) {
  Value block = b.blockId();
  Value span = findSpan(launch, block);
  auto load = [&](int64_t offset) {
    return launch.load(offsetof(trec_gpu_launch, spans), span,
                       sizeof(trec_gpu_span), offset);
  };
  Value firstBlock = b.truncate(load(offsetof(trec_gpu_span, first_block)));
  numParts = b.truncate(load(offsetof(trec_gpu_span, blocks_per_bag)));
  Value firstBag = load(offsetof(trec_gpu_span, first_bag));
  Value inSpan = b.subtract(block, firstBlock);
  Value bag = arith::DivUIOp::create(b, inSpan, numParts);
  part = b.subtract(inSpan, b.multiply(bag, numParts));
  Type element = configurations.front().outputElement;
  Value index = b.add(firstBag, b.zeroExtend(bag));
  return Lookup::load(b, launch, index, element.getIntOrFloatBitWidth() / 8);
}

/// A kernel that the compiler did not make cannot be asked for; it would do
/// nothing.
StepResult ForwardKernelBuilder::switchToConfiguration(const Lookup &lookup,
                                                       Value kernel,
                                                       Value step) {
  Type i32 = b.getI32Type();
  auto cases =
      llvm::to_vector(llvm::seq<int64_t>(0, int64_t(configurations.size())));
  auto choice = scf::IndexSwitchOp::create(
      b, TypeRange{i32, i32, i32, b.getI1Type()}, kernel, cases, cases.size());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&choice.getDefaultRegion().emplaceBlock());
  Value zero = b.i32(0), no = b.boolean(false);
  scf::YieldOp::create(b, ValueRange{zero, zero, zero, no});
  for (auto [configuration, region] :
       llvm::zip(configurations, choice.getCaseRegions())) {
    b.setInsertionPointToStart(&region.emplaceBlock());
    StepInput input = {configuration, idType, lookup, {step, numParts}};
    StepResult result =
        configuration.pooling ? buildBagStep(b, input) : buildRowStep(b, input);
    scf::YieldOp::create(b, result.getValues());
  }
  return {choice.getResult(0), choice.getResult(1), choice.getResult(2),
          choice.getResult(3)};
}

void ForwardKernelBuilder::runSteps(LaunchArgument &launch,
                                    const Lookup &lookup) {
  Value kernel =
      arith::IndexCastOp::create(b, b.getIndexType(), lookup.loadKernel(b));
  StepReport report(b, launch.load(offsetof(trec_gpu_launch, report)), idType,
                    lookup);
  scf::WhileOp::create(
      b, TypeRange{b.getI32Type()}, ValueRange{part},
      [&](OpBuilder &, Location, ValueRange state) {
        StepResult result = switchToConfiguration(lookup, kernel, state[0]);
        report.tell(result);
        Value next = b.add(state[0], numParts);
        scf::ConditionOp::create(b, result.hasMore, ValueRange{next});
      },
      [&](OpBuilder &, Location, ValueRange state) {
        scf::YieldOp::create(b, state);
      });
}

gpu::GPUFuncOp ForwardKernelBuilder::build() {
  GPULoweringConfigAttr lowering = configurations.front().gpuLowering;
  int64_t threads = lowering.getWarps() * DeviceBuilder::kWarpLanes;
  std::string name = "trec_forward_i" + std::to_string(idType.getWidth());
  gpu::GPUFuncOp kernel =
      createKernel(b, b.getLoc(), name, sizeof(trec_gpu_launch), threads);
  if (lowering.getBlocksPerSm())
    kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(lowering.getBlocksPerSm()));
  b.setInsertionPointToStart(&kernel.getBody().front());
  LaunchArgument launch(b, kernel.getArgument(0));
  checkBatches(launch);
  runSteps(launch, findLookup(launch));
  gpu::ReturnOp::create(b);
  return kernel;
}

gpu::GPUFuncOp
mlir::trec::buildForwardKernel(OpBuilder &builder, Location loc,
                               ArrayRef<BagConfiguration> configurations,
                               IntegerType idType) {
  OpBuilder::InsertionGuard guard(builder);
  return ForwardKernelBuilder(builder, loc, configurations, idType).build();
}
