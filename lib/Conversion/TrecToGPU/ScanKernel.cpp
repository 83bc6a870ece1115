//===- ScanKernel.cpp - The kernel that sums lengths ----------------------===//
//
// A block takes its share of the lengths tile by tile. Where there are several
// blocks the kernel is launched twice: the first time each block writes the sum
// of its share, the second time it adds those of the blocks in front of it, of
// which there are few, and makes offsets of its share. So every length is read
// twice, and no block waits for another.
//
//===----------------------------------------------------------------------===//

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
static constexpr int64_t kTile = kScanLengthsPerBlock;
static constexpr int64_t kPerThread = kTile / kThreads;
static constexpr int64_t kLanes = DeviceBuilder::kWarpLanes;
static constexpr int64_t kWarps = kThreads / kLanes;
static_assert(kWarps <= kLanes, "a warp scans the sums of all of them");

namespace {

/// All counts are i32, all sums i64.
class ScanKernelBuilder {
public:
  ScanKernelBuilder(OpBuilder &builder, Location loc) : b(builder, loc) {}

  gpu::GPUFuncOp build();

private:
  /// A number of each thread: the sum of those of the threads in front, and of
  /// all of the block.
  struct Sums {
    Value before, all;
  };

  void loadArgument(Value argument);
  SmallVector<Value> loadLengths(ArrayRef<Value> indices);
  Value scanWarp(Value own);
  Sums scanBlock(Value own);
  void writeSum();
  Value sumInFront();
  void writeOffsets();
  SmallVector<Value> writeTile(Value tile, Value begin);
  void reportLength(Value index, Value length);
  void finish(Value sum);

  DeviceBuilder b;
  Value lengths, isWide, count, numValues, offsets, report, batch;
  Value sums, lengthsPerBlock, writesSums;
  Value thread, lane, block, first, end;
  Value sumsOfWarps; // a memref in shared memory, one i64 per lane
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
  sums = scan.load(offsetof(trec_gpu_scan, sums));
  Value share = scan.load(offsetof(trec_gpu_scan, lengths_per_block));
  lengthsPerBlock = b.truncate(share);
  writesSums = scan.load(offsetof(trec_gpu_scan, writes_sums));
}

/// The lengths at these indices, 0 for those that are not the block's.
SmallVector<Value> ScanKernelBuilder::loadLengths(ArrayRef<Value> indices) {
  auto loadAll = [&](int64_t bytes) {
    SmallVector<Value> loaded;
    Value zero = b.constant(b.getIntegerType(8 * bytes), 0);
    for (Value index : indices) {
      Value exists = b.compare(Predicate::slt, index, end);
      Value address = b.addressOf(lengths, index, bytes);
      Value length = b.loadIf(exists, address, zero).front();
      loaded.push_back(bytes == 8 ? length : b.signExtend(length));
    }
    return loaded;
  };
  SmallVector<Type> types(indices.size(), b.getI64Type());
  return b.branch(
      isWide, types, [&] { return loadAll(8); }, [&] { return loadAll(4); });
}

/// The sum of the numbers of a lane and of all lanes below.
Value ScanKernelBuilder::scanWarp(Value own) {
  Value scanned = own;
  for (int64_t distance = 1; distance < kLanes; distance *= 2) {
    Value below = b.shuffleUp(scanned, distance);
    Value hasBelow = b.compare(Predicate::sge, lane, distance);
    scanned = b.select(hasBelow, b.add(scanned, below), scanned);
  }
  return scanned;
}

ScanKernelBuilder::Sums ScanKernelBuilder::scanBlock(Value own) {
  Type index = b.getIndexType();
  Value warp = b.shiftRight(thread, llvm::Log2_64(kLanes));
  Value scanned = scanWarp(own);
  // Sums of an earlier tile may still be read.
  b.syncBlock();
  b.doIf(b.compare(Predicate::eq, lane, kLanes - 1), [&] {
    Value place = arith::IndexCastUIOp::create(b, index, warp);
    memref::StoreOp::create(b, scanned, sumsOfWarps, place);
  });
  b.syncBlock();
  // Each warp scans the sums of all of them.
  Value isWarp = b.compare(Predicate::slt, lane, kWarps);
  Value place = arith::IndexCastUIOp::create(b, index, lane);
  Value stored = memref::LoadOp::create(b, sumsOfWarps, place);
  Value ofWarp = b.select(isWarp, stored, b.i64(0));
  Value warps = scanWarp(ofWarp);
  Value inFront = b.shuffle(b.subtract(warps, ofWarp), warp, kLanes);
  Value before = b.add(inFront, b.subtract(scanned, own));
  return {before, b.shuffle(warps, kLanes - 1, kLanes)};
}

/// The first launch of two: the sum of the block's lengths.
void ScanKernelBuilder::writeSum() {
  Value own =
      b.loop(first, end, kTile, b.i64(0), [&](Value tile, ValueRange sum) {
         SmallVector<Value> indices;
         Value index = b.add(tile, thread);
         for (int64_t i = 0; i < kPerThread; ++i)
           indices.push_back(b.add(index, i * kThreads));
         Value total = sum.front();
         for (Value length : loadLengths(indices))
           total = b.add(total, length);
         return SmallVector<Value>{total};
       }).front();
  Value all = scanBlock(own).all;
  b.doIf(b.compare(Predicate::eq, thread, 0),
         [&] { b.store(b.addressOf(sums, block, 8), all, 8); });
}

/// Of all lengths in front of the block's.
Value ScanKernelBuilder::sumInFront() {
  Value own = b.loop(thread, block, kThreads, b.i64(0),
                     [&](Value other, ValueRange sum) {
                       Value address = b.addressOf(sums, other, 8);
                       Value loaded = b.load(address, b.getI64Type());
                       return SmallVector<Value>{b.add(sum.front(), loaded)};
                     })
                  .front();
  return scanBlock(own).all;
}

void ScanKernelBuilder::reportLength(Value index, Value length) {
  Value kind = b.i64(TREC_GPU_BAD_LENGTH), none = b.i64(-1), zero = b.i64(0);
  DeviceReport(b, report).write({kind, batch, /*bag=*/none, /*sample=*/none,
                                 /*begin=*/zero, b.zeroExtend(index), length});
}

/// The offsets of a tile, behind lengths that sum to `begin`; returns the sum
/// behind it. Of a thread's negative lengths the first is reported.
SmallVector<Value> ScanKernelBuilder::writeTile(Value tile, Value begin) {
  Value firstIndex = b.add(tile, b.multiply(thread, kPerThread));
  SmallVector<Value> indices;
  for (int64_t i = 0; i < kPerThread; ++i)
    indices.push_back(b.add(firstIndex, i));
  SmallVector<Value> own = loadLengths(indices);
  Value sum = own.front();
  for (Value length : ArrayRef(own).drop_front())
    sum = b.add(sum, length);
  Sums scanned = scanBlock(sum);
  Value offset = b.add(begin, scanned.before);
  Value none = b.i32(-1);
  Value badIndex = none, badLength = b.i64(0);
  for (auto [index, length] : llvm::zip_equal(indices, own)) {
    Value exists = b.compare(Predicate::slt, index, end);
    b.doIf(exists, [&] { b.store(b.addressOf(offsets, index, 8), offset, 8); });
    offset = b.add(offset, length);
    Value isNegative = b.compare(Predicate::slt, length, 0);
    Value isFirst = b.compare(Predicate::eq, badIndex, none);
    Value isNoted = b.both(isNegative, isFirst);
    badIndex = b.select(isNoted, index, badIndex);
    badLength = b.select(isNoted, length, badLength);
  }
  Value hasBad = b.compare(Predicate::ne, badIndex, none);
  b.doIf(hasBad, [&] { reportLength(badIndex, badLength); });
  return {b.add(begin, scanned.all)};
}

/// The second launch, or the only one.
void ScanKernelBuilder::writeOffsets() {
  Value inFront = sumInFront();
  Value sum =
      b.loop(first, end, kTile, inFront, [&](Value tile, ValueRange begin) {
         return writeTile(tile, begin.front());
       }).front();
  finish(sum);
}

/// One thread of the block with the last lengths writes their sum, which has to
/// be the number of values.
void ScanKernelBuilder::finish(Value sum) {
  Value isLastBlock = b.compare(Predicate::sge, end, count);
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
  auto type = MemRefType::get({kLanes}, b.getI64Type(),
                              MemRefLayoutAttrInterface(), shared);
  sumsOfWarps = kernel.addWorkgroupAttribution(type, b.getLoc());
  b.setInsertionPointToStart(&kernel.getBody().front());
  loadArgument(kernel.getArgument(0));
  thread = b.threadId();
  lane = b.both(thread, kLanes - 1);
  block = b.blockId();
  first = b.multiply(block, lengthsPerBlock);
  Value left = b.subtract(count, first);
  Value isWhole = b.compare(Predicate::slt, lengthsPerBlock, left);
  end = b.add(first, b.select(isWhole, lengthsPerBlock, left));
  b.doIf(b.compare(Predicate::ne, writesSums, 0), [&] { writeSum(); });
  b.doIf(b.compare(Predicate::eq, writesSums, 0), [&] { writeOffsets(); });
  gpu::ReturnOp::create(b);
  return kernel;
}

gpu::GPUFuncOp mlir::trec::buildScanKernel(OpBuilder &builder, Location loc) {
  OpBuilder::InsertionGuard guard(builder);
  return ScanKernelBuilder(builder, loc).build();
}
