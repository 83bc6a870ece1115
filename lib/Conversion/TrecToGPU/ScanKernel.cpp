//===- ScanKernel.cpp - The kernel that sums lengths ----------------------===//

#include "ScanKernel.h"
#include "DeviceReport.h"
#include "ForwardKernel.h"
#include "Lookup.h"
#include "trec/Conversion/KernelGeometry.h"
#include "trec/Runtime/DeviceABI.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kThreads = kScanThreadsPerBlock;
static constexpr int64_t kPerThread = kScanLengthsPerBlock / kThreads;
static constexpr int64_t kLanes = DeviceBuilder::kWarpLanes;
static constexpr int64_t kWarps = kThreads / kLanes;
/// Loads that a thread has under way while it sums what lies in front.
static constexpr int64_t kUnroll = 8;

namespace {

/// All counts are i32, all sums i64.
class ScanKernelBuilder {
public:
  ScanKernelBuilder(OpBuilder &builder, Location loc) : b(builder, loc) {}

  gpu::GPUFuncOp build();

private:
  void loadArgument(Value argument);
  Value loadLength(Value index, int64_t bytes);
  Value loadLengthIf(Value condition, Value index);
  Value sumInFront(int64_t bytes);
  Value sumInFront();
  SmallVector<Value> loadOwn(Value first);
  std::pair<Value, Value> scanBlock(Value inFront, Value own);
  void writeOwn(Value first, Value begin, ArrayRef<Value> lengths);
  void reportLength(Value index, Value length);
  void finish(Value sum);

  DeviceBuilder b;
  Value lengths, isWide, count, numValues, offsets, report, batch;
  Value thread, block, firstOfBlock;
  Value sumsInFront, sumsOfWarps; // memrefs in shared memory, one i64 per warp
};

} // namespace

void ScanKernelBuilder::loadArgument(Value argument) {
  LaunchArgument scan(b, argument);
  lengths = scan.load(offsetof(trec_gpu_scan, lengths));
  Value bytes = scan.load(offsetof(trec_gpu_scan, lengths_bytes));
  isWide = b.compare(Predicate::eq, bytes, 8);
  count = b.truncate(scan.load(offsetof(trec_gpu_scan, count)));
  numValues = scan.load(offsetof(trec_gpu_scan, num_values));
  offsets = scan.load(offsetof(trec_gpu_scan, offsets));
  report = scan.load(offsetof(trec_gpu_scan, report));
  batch = scan.load(offsetof(trec_gpu_scan, batch));
}

Value ScanKernelBuilder::loadLength(Value index, int64_t bytes) {
  Value address = b.addressOf(lengths, index, bytes);
  Value length = b.load(address, b.getIntegerType(8 * bytes));
  return bytes == 8 ? length : b.signExtend(length);
}

/// The length at `index`, or 0.
Value ScanKernelBuilder::loadLengthIf(Value condition, Value index) {
  Type i64 = b.getI64Type();
  auto loadWide = [&] { return SmallVector<Value>{loadLength(index, 8)}; };
  auto loadNarrow = [&] { return SmallVector<Value>{loadLength(index, 4)}; };
  return b
      .branch(
          condition, i64,
          [&] { return b.branch(isWide, i64, loadWide, loadNarrow); },
          [&] { return SmallVector<Value>{b.i64(0)}; })
      .front();
}

/// A thread's share of the sum of all lengths in front of the block's.
Value ScanKernelBuilder::sumInFront(int64_t bytes) {
  // Blocks begin at multiples of what a round of all threads reads.
  static_assert(kScanLengthsPerBlock % (kThreads * kUnroll) == 0);
  Value zero = b.i64(0);
  return b
      .loop(thread, firstOfBlock, kThreads * kUnroll, zero,
            [&](Value index, ValueRange sum) {
              SmallVector<Value> loaded;
              for (int64_t i = 0; i < kUnroll; ++i)
                loaded.push_back(loadLength(b.add(index, i * kThreads), bytes));
              Value total = sum.front();
              for (Value length : loaded)
                total = b.add(total, length);
              return SmallVector<Value>{total};
            })
      .front();
}

Value ScanKernelBuilder::sumInFront() {
  return b
      .branch(
          isWide, b.getI64Type(),
          [&] { return SmallVector<Value>{sumInFront(8)}; },
          [&] { return SmallVector<Value>{sumInFront(4)}; })
      .front();
}

SmallVector<Value> ScanKernelBuilder::loadOwn(Value first) {
  SmallVector<Value> own;
  for (int64_t i = 0; i < kPerThread; ++i) {
    Value index = b.add(first, i);
    Value exists = b.compare(Predicate::slt, index, count);
    own.push_back(loadLengthIf(exists, index));
  }
  return own;
}

/// From each thread's share of the sum in front and the sum of its own lengths:
/// the sum of all lengths in front of its own, and of all those of the block
/// and in front of it.
std::pair<Value, Value> ScanKernelBuilder::scanBlock(Value inFront, Value own) {
  Value lane = b.both(thread, kLanes - 1);
  Value warp = arith::IndexCastUIOp::create(
      b, b.getIndexType(), b.shiftRight(thread, llvm::Log2_64(kLanes)));
  Value scanned = own;
  for (int64_t distance = 1; distance < kLanes; distance *= 2) {
    inFront = b.add(inFront, b.shuffleXor(inFront, distance));
    Value below = b.shuffleUp(scanned, distance);
    Value hasBelow = b.compare(Predicate::sge, lane, distance);
    scanned = b.select(hasBelow, b.add(scanned, below), scanned);
  }
  Value isLast = b.compare(Predicate::eq, lane, kLanes - 1);
  b.doIf(isLast, [&] {
    memref::StoreOp::create(b, inFront, sumsInFront, warp);
    memref::StoreOp::create(b, scanned, sumsOfWarps, warp);
  });
  gpu::BarrierOp::create(b);
  Value from = arith::ConstantIndexOp::create(b, 0);
  Value to = arith::ConstantIndexOp::create(b, kWarps);
  Value step = arith::ConstantIndexOp::create(b, 1);
  Value zero = b.i64(0);
  SmallVector<Value> sums =
      b.loop(from, to, step, ValueRange{zero, zero},
             [&](Value other, ValueRange carried) {
               Value before = memref::LoadOp::create(b, sumsInFront, other);
               Value total = memref::LoadOp::create(b, sumsOfWarps, other);
               Value isBelow = b.compare(Predicate::ult, other, warp);
               Value whereBelow = b.select(isBelow, total, zero);
               Value all = b.add(b.add(carried[1], before), total);
               Value mine = b.add(b.add(carried[0], before), whereBelow);
               return SmallVector<Value>{mine, all};
             });
  Value before = b.subtract(scanned, own);
  return {b.add(sums[0], before), sums[1]};
}

void ScanKernelBuilder::reportLength(Value index, Value length) {
  Value kind = b.i64(TREC_GPU_BAD_LENGTH), none = b.i64(-1), zero = b.i64(0);
  DeviceReport(b, report).write({kind, batch, /*bag=*/none, /*sample=*/none,
                                 /*begin=*/zero, b.zeroExtend(index), length});
}

/// The offsets of the thread's own lengths, and the first of its lengths that
/// is negative: the one that is reported.
void ScanKernelBuilder::writeOwn(Value first, Value begin,
                                 ArrayRef<Value> lengths) {
  Value none = b.i32(-1);
  Value badIndex = none, badLength = b.i64(0);
  for (auto [i, length] : llvm::enumerate(lengths)) {
    Value index = b.add(first, int64_t(i));
    Value exists = b.compare(Predicate::slt, index, count);
    b.doIf(exists, [&] { b.store(b.addressOf(offsets, index, 8), begin, 8); });
    begin = b.add(begin, length);
    Value isNegative = b.compare(Predicate::slt, length, 0);
    Value isFirst = b.compare(Predicate::eq, badIndex, none);
    Value isNoted = b.both(isNegative, isFirst);
    badIndex = b.select(isNoted, index, badIndex);
    badLength = b.select(isNoted, length, badLength);
  }
  Value hasBad = b.compare(Predicate::ne, badIndex, none);
  b.doIf(hasBad, [&] { reportLength(badIndex, badLength); });
}

/// One thread of the block with the last lengths writes their sum, which has to
/// be the number of values.
void ScanKernelBuilder::finish(Value sum) {
  Value behind = b.add(firstOfBlock, kScanLengthsPerBlock);
  Value isLastBlock = b.compare(Predicate::sge, behind, count);
  Value isFirstThread = b.compare(Predicate::eq, thread, 0);
  b.doIf(b.both(isLastBlock, isFirstThread), [&] {
    b.store(b.addressOf(offsets, count, 8), sum, 8);
    b.doIf(b.compare(Predicate::ne, sum, numValues), [&] {
      Value kind = b.i64(TREC_GPU_BAD_SUM), none = b.i64(-1), zero = b.i64(0);
      DeviceReport(b, report).write({kind, batch, /*bag=*/none, /*sample=*/none,
                                     /*begin=*/zero, b.zeroExtend(count), sum});
    });
  });
}

gpu::GPUFuncOp ScanKernelBuilder::build() {
  gpu::GPUFuncOp kernel = createKernel(b, b.getLoc(), "trec_scan_lengths",
                                       sizeof(trec_gpu_scan), kThreads);
  auto shared =
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  auto type = MemRefType::get({kWarps}, b.getI64Type(),
                              MemRefLayoutAttrInterface(), shared);
  sumsInFront = kernel.addWorkgroupAttribution(type, b.getLoc());
  sumsOfWarps = kernel.addWorkgroupAttribution(type, b.getLoc());
  b.setInsertionPointToStart(&kernel.getBody().front());
  loadArgument(kernel.getArgument(0));
  thread = b.threadId();
  firstOfBlock = b.multiply(b.blockId(), kScanLengthsPerBlock);
  Value first = b.add(firstOfBlock, b.multiply(thread, kPerThread));
  Value inFront = sumInFront();
  SmallVector<Value> lengths = loadOwn(first);
  Value own = lengths.front();
  for (Value length : ArrayRef(lengths).drop_front())
    own = b.add(own, length);
  auto [begin, all] = scanBlock(inFront, own);
  writeOwn(first, begin, lengths);
  finish(all);
  gpu::ReturnOp::create(b);
  return kernel;
}

gpu::GPUFuncOp mlir::trec::buildScanKernel(OpBuilder &builder, Location loc) {
  OpBuilder::InsertionGuard guard(builder);
  return ScanKernelBuilder(builder, loc).build();
}
