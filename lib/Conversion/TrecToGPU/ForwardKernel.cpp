//===- ForwardKernel.cpp - The kernel that runs all lookups ---------------===//

#include "ForwardKernel.h"
#include "StepReport.h"
#include "Steps.h"
#include "trec/Runtime/DeviceABI.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class ForwardKernelBuilder {
public:
  ForwardKernelBuilder(OpBuilder &builder, Location loc,
                       ArrayRef<BagConfiguration> configurations,
                       const ModelShape &shape, IntegerType idType,
                       bool sharesBags)
      : b(builder, loc), configurations(configurations), shape(shape),
        idType(idType), sharesBags(sharesBags) {}

  gpu::GPUFuncOp build(StringRef name);

private:
  void checkBatches(LaunchArgument &launch);
  void checkBatch(LaunchArgument &launch, Value batch);
  Value searchSpans(LaunchArgument &launch, Value block, Value last);
  Value findSpan(LaunchArgument &launch, Value block);
  Step findStep(LaunchArgument &launch, Value block, Value &bag);
  SmallVector<Value> switchToConfiguration(
      LaunchArgument &launch, Value block, TypeRange types,
      function_ref<SmallVector<Value>(const StepInput &)> build);
  Value runStep(LaunchArgument &launch);
  void reportStep(const LaunchArgument &read);
  void addSharedMemory(gpu::GPUFuncOp kernel);

  DeviceBuilder b;
  ArrayRef<BagConfiguration> configurations;
  ModelShape shape;
  IntegerType idType;
  bool sharesBags; // where rows come to stages
  Lookup lookup;   // that of the last switch
  Value shared;    // address of the block's shared memory, an i64; null: none
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
  Value numBatches = launch.loadLow(offsetof(trec_gpu_launch, num_batches));
  Value isFirstBlock = b.compare(Predicate::eq, b.blockId(), 0);
  Value isBatch = b.compare(Predicate::slt, batch, numBatches);
  b.doIf(b.both(isFirstBlock, isBatch), [&] { checkBatch(launch, batch); });
}

/// The last span that begins at the block or before it; i32.
Value ForwardKernelBuilder::searchSpans(LaunchArgument &launch, Value block,
                                        Value last) {
  Value none = b.i32(0);
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getI32Type()}, none,
      [&](OpBuilder &, Location, ValueRange span) {
        Value first = launch.loadLow(
            offsetof(trec_gpu_launch, spans) + sizeof(trec_gpu_span), span[0],
            sizeof(trec_gpu_span), offsetof(trec_gpu_span, first_block));
        Value hasNext = b.compare(Predicate::slt, span[0], last);
        Value hasBegun = b.compare(Predicate::sge, block, first);
        scf::ConditionOp::create(b, b.both(hasNext, hasBegun), span);
      },
      [&](OpBuilder &, Location, ValueRange span) {
        scf::YieldOp::create(b, b.add(span[0], 1));
      });
  return loop.getResult(0);
}

/// Most launches have one span, in which there is nothing to search.
Value ForwardKernelBuilder::findSpan(LaunchArgument &launch, Value block) {
  Value last =
      b.subtract(launch.loadLow(offsetof(trec_gpu_launch, num_spans)), 1);
  Value isOne = b.compare(Predicate::eq, last, 0);
  return b
      .branch(
          isOne, b.getI32Type(), [&] { return SmallVector<Value>{b.i32(0)}; },
          [&] { return SmallVector<Value>{searchSpans(launch, block, last)}; })
      .front();
}

Step ForwardKernelBuilder::findStep(LaunchArgument &launch, Value block,
                                    Value &bag) {
  constexpr int64_t spans = offsetof(trec_gpu_launch, spans),
                    bytes = sizeof(trec_gpu_span);
  Value span = findSpan(launch, block);
  auto loadLow = [&](int64_t offset) {
    return launch.loadLow(spans, span, bytes, offset);
  };
  Step step;
  Value firstBlock = loadLow(offsetof(trec_gpu_span, first_block));
  step.stride = loadLow(offsetof(trec_gpu_span, blocks_per_bag));
  Value firstBag = loadLow(offsetof(trec_gpu_span, first_bag));
  Value inSpan = b.subtract(block, firstBlock);
  Value multiplier =
      launch.load(spans, span, bytes, offsetof(trec_gpu_span, multiplier));
  Value product = b.multiply(b.zeroExtend(inSpan), multiplier);
  Value shift = launch.load(spans, span, bytes, offsetof(trec_gpu_span, shift));
  Value bagInSpan = b.truncate(b.shiftRight(product, shift));
  step.index = b.subtract(inSpan, b.multiply(bagInSpan, step.stride));
  bag = b.add(firstBag, bagInSpan);
  return step;
}

/// What a block of this number makes of its configuration. Where there are
/// several, a kernel that the compiler did not make cannot be asked for; it
/// would do nothing.
SmallVector<Value> ForwardKernelBuilder::switchToConfiguration(
    LaunchArgument &launch, Value block, TypeRange types,
    function_ref<SmallVector<Value>(const StepInput &)> build) {
  Value bag;
  Step step = findStep(launch, block, bag);
  Type element = configurations.front().outputElement;
  lookup =
      Lookup::load(b, launch, bag, shape, element.getIntOrFloatBitWidth() / 8);
  auto buildCase = [&](const BagConfiguration &configuration) {
    bool isShared = sharesBags && configuration.gpuLowering.getStages();
    return build({configuration, idType, lookup, step, shared, isShared});
  };
  if (configurations.size() == 1)
    return buildCase(configurations.front());
  Value kernel =
      arith::IndexCastOp::create(b, b.getIndexType(), lookup.loadKernel(b));
  auto cases =
      llvm::to_vector(llvm::seq<int64_t>(0, int64_t(configurations.size())));
  auto choice =
      scf::IndexSwitchOp::create(b, types, kernel, cases, cases.size());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&choice.getDefaultRegion().emplaceBlock());
  SmallVector<Value> nothing;
  for (Type type : types)
    nothing.push_back(b.constant(type, 0));
  scf::YieldOp::create(b, nothing);
  for (auto [configuration, region] :
       llvm::zip(configurations, choice.getCaseRegions())) {
    b.setInsertionPointToStart(&region.emplaceBlock());
    scf::YieldOp::create(b, buildCase(configuration));
  }
  return llvm::to_vector_of<Value>(choice.getResults());
}

static Value buildStep(DeviceBuilder &b, const StepInput &input) {
  if (!input.configuration.pooling)
    return buildRowStep(b, input);
  return input.configuration.gpuLowering.getStages()
             ? buildStagedBagStep(b, input)
             : buildBagStep(b, input);
}

Value ForwardKernelBuilder::runStep(LaunchArgument &launch) {
  return switchToConfiguration(launch, b.blockId(), b.getI1Type(),
                               [&](const StepInput &input) {
                                 return SmallVector<Value>{buildStep(b, input)};
                               })
      .front();
}

void ForwardKernelBuilder::reportStep(const LaunchArgument &read) {
  LaunchArgument launch = read.readAgain();
  SmallVector<Type> types(3, b.getI32Type());
  SmallVector<Value> found = switchToConfiguration(
      launch, b.blockIdAgain(), types, [&](const StepInput &input) {
        return buildInspection(b, input).getValues();
      });
  Value report = launch.load(offsetof(trec_gpu_launch, report));
  StepReport(b, report, idType, lookup).tell({found[0], found[1], found[2]});
}

/// As much as the configuration needs that needs the most.
void ForwardKernelBuilder::addSharedMemory(gpu::GPUFuncOp kernel) {
  int64_t bytes = 0;
  for (const BagConfiguration &c : configurations)
    bytes = std::max(bytes, getSharedBytes(c));
  if (bytes == 0)
    return;
  auto space =
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  constexpr int64_t alignment = 16;
  auto type = MemRefType::get({bytes}, b.getI8Type(),
                              MemRefLayoutAttrInterface(), space);
  Value memory = kernel.addWorkgroupAttribution(type, b.getLoc());
  kernel.setWorkgroupAttributionAttr(0, LLVM::LLVMDialect::getAlignAttrName(),
                                     b.getI64IntegerAttr(alignment));
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memory);
  shared = arith::IndexCastOp::create(b, b.getI64Type(), address);
}

gpu::GPUFuncOp ForwardKernelBuilder::build(StringRef name) {
  GPULoweringConfigAttr lowering = configurations.front().gpuLowering;
  int64_t threads = lowering.getWarps() * DeviceBuilder::kWarpLanes;
  gpu::GPUFuncOp kernel =
      createKernel(b, b.getLoc(), name, sizeof(trec_gpu_launch), threads);
  if (lowering.getBlocksPerSm())
    kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    b.getI32IntegerAttr(lowering.getBlocksPerSm()));
  b.setInsertionPointToStart(&kernel.getBody().front());
  LaunchArgument launch(b, kernel.getArgument(0));
  addSharedMemory(kernel);
  checkBatches(launch);
  Value isWrong = b.anyOfWarp(runStep(launch));
  b.doIf(isWrong, [&] { reportStep(launch); });
  gpu::ReturnOp::create(b);
  return kernel;
}

static StringRef getNamePrefix(ForwardLaunch launch) {
  switch (launch) {
  case ForwardLaunch::ManyBags:
    return "trec_forward_i";
  case ForwardLaunch::FewBags:
    return "trec_forward_few_i";
  case ForwardLaunch::SharedBags:
    return "trec_forward_shared_i";
  }
  llvm_unreachable("unknown launch");
}

gpu::GPUFuncOp mlir::trec::buildForwardKernel(
    OpBuilder &builder, Location loc, ArrayRef<BagConfiguration> configurations,
    const ModelShape &shape, IntegerType idType, ForwardLaunch launch) {
  OpBuilder::InsertionGuard guard(builder);
  SmallVector<BagConfiguration> scheduled(configurations);
  if (launch != ForwardLaunch::ManyBags)
    for (BagConfiguration &configuration : scheduled)
      configuration = configuration.getForFewBags();
  std::string name = (getNamePrefix(launch) + Twine(idType.getWidth())).str();
  return ForwardKernelBuilder(builder, loc, scheduled, shape, idType,
                              launch == ForwardLaunch::SharedBags)
      .build(name);
}
