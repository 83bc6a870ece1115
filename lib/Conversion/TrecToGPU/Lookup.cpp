//===- Lookup.cpp - What a block knows of its lookup ----------------------===//

#include "Lookup.h"
#include "trec/Runtime/DeviceABI.h"

using namespace mlir;
using namespace mlir::trec;

LaunchArgument LaunchArgument::readAgain() const {
  LaunchArgument again = *this;
  again.zero = b.zeroExtend(b.zeroAgain());
  return again;
}

Value LaunchArgument::load(Type type, int64_t offset) {
  if (zero)
    return load(type, offset, zero, /*elementBytes=*/1, /*offset=*/0);
  Value address =
      LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer,
                          ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  return LLVM::LoadOp::create(b, type, address, /*alignment=*/8);
}

Value LaunchArgument::load(Type type, int64_t arrayOffset, Value index,
                           int64_t elementBytes, int64_t offset) {
  Value place = b.addressOf(b.i64(arrayOffset + offset), index, elementBytes);
  if (zero)
    place = b.add(place, zero);
  Value address = LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(),
                                      pointer, ArrayRef<LLVM::GEPArg>{place});
  return LLVM::LoadOp::create(b, type, address, /*alignment=*/8);
}

Value Lookup::loadField(DeviceBuilder &b, int64_t offset) const {
  return b.load(b.add(bag, offset), b.getI64Type());
}

Value Lookup::loadKernel(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, kernel));
}
Value Lookup::loadPositionWeights(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, weights));
}
Value Lookup::loadMaxLength(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, max_length));
}
Value Lookup::loadLength(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, length));
}
Value Lookup::loadIdsBefore(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, ids_before));
}
Value Lookup::loadRowStride(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, row_stride));
}
Value Lookup::loadRemap(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, remap));
}
Value Lookup::loadNumRemap(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, num_remap));
}
Value Lookup::loadNumIds(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, num_ids));
}
Value Lookup::loadCountsBadIds(DeviceBuilder &b) const {
  return loadField(b, offsetof(trec_gpu_bag, counts_bad_ids));
}

/// The caller's key of a feature, where keys are not in the model's order.
static Value loadSlot(DeviceBuilder &b, Value slots, Value key) {
  return b.load(b.addressOf(slots, key, 4), b.getI32Type());
}

/// Where all is promised, nothing but the order of the keys decides where the
/// ids of a feature begin: one branch, and not one that lanes could differ in.
void Lookup::findFeature(DeviceBuilder &b, Value key) {
  Value hasSlots = b.compare(Predicate::ne, slots, 0);
  Type i32 = b.getI32Type();
  if (!shape.promisesAll) {
    SmallVector<Value> number = b.branch(
        hasSlots, i32, [&] { return SmallVector{loadSlot(b, slots, key)}; },
        [&] { return SmallVector{b.truncate(key)}; });
    firstOffset = b.multiply(number.front(), batchSize);
    return;
  }
  SmallVector<Value> found = b.branch(
      hasSlots, {i32, i32},
      [&] {
        Value at = b.multiply(loadSlot(b, slots, key), batchSize);
        return SmallVector{at, loadShortOffset(b, at)};
      },
      [&] {
        Value at = b.multiply(b.truncate(key), batchSize);
        Value before = b.truncate(loadIdsBefore(b));
        return SmallVector{at, b.multiply(before, batchSize)};
      });
  firstOffset = found[0];
  firstId = found[1];
}

void Lookup::loadBatch(DeviceBuilder &b, LaunchArgument &launch, Value key) {
  constexpr int64_t batches = offsetof(trec_gpu_launch, batches),
                    bytes = sizeof(trec_gpu_batch);
  auto load = [&](int64_t offset) {
    return launch.load(batches, batch, bytes, offset);
  };
  batchSize = launch.loadLow(offsetof(trec_gpu_launch, batch_size));
  values = load(offsetof(trec_gpu_batch, values));
  numValues = launch.loadLow(batches, batch, bytes,
                             offsetof(trec_gpu_batch, num_values));
  offsets = load(offsetof(trec_gpu_batch, offsets));
  offsetBytes = launch.loadLow(batches, batch, bytes,
                               offsetof(trec_gpu_batch, offsets_bytes));
  hasWideOffsets = b.compare(Predicate::eq, offsetBytes, 8);
  sampleWeights = load(offsetof(trec_gpu_batch, weights));
  slots = load(offsetof(trec_gpu_batch, slots));
  findFeature(b, key);
}

/// The output's place among those of the launch, an i32.
Value Lookup::findOutput(DeviceBuilder &b, LaunchArgument &launch) const {
  Value number = loadField(b, offsetof(trec_gpu_bag, output));
  Value first = launch.load(offsetof(trec_gpu_launch, first_output));
  return b.truncate(b.subtract(number, first));
}

void Lookup::loadOutput(DeviceBuilder &b, LaunchArgument &launch, Value place,
                        int64_t elementBytes) {
  Value base =
      launch.load(offsetof(trec_gpu_launch, outputs), place, sizeof(void *), 0);
  constexpr int64_t extents = offsetof(trec_gpu_launch, output_extents);
  outputElements = launch.loadLow(extents, place, sizeof(int64_t), 0);
  outputRows = launch.load(extents, place, sizeof(int64_t), 0);
  Value column = loadField(b, offsetof(trec_gpu_bag, column));
  output = b.add(base, b.multiply(column, elementBytes));
}

Lookup Lookup::load(DeviceBuilder &b, LaunchArgument &launch, Value index,
                    const ModelShape &shape, int64_t elementBytes) {
  Lookup lookup;
  lookup.shape = shape;
  lookup.index = index;
  Value bags = launch.load(offsetof(trec_gpu_launch, bags));
  lookup.bag = b.addressOf(bags, index, sizeof(trec_gpu_bag));
  lookup.batch = shape.hasOneBatch
                     ? b.i64(0)
                     : lookup.loadField(b, offsetof(trec_gpu_bag, batch));
  Value key = lookup.loadField(b, offsetof(trec_gpu_bag, key));
  lookup.rows = lookup.loadField(b, offsetof(trec_gpu_bag, rows));
  lookup.numRows = lookup.loadField(b, offsetof(trec_gpu_bag, num_rows));
  lookup.loadBatch(b, launch, key);
  Value place = shape.hasOneOutput ? b.i32(0) : lookup.findOutput(b, launch);
  lookup.loadOutput(b, launch, place, elementBytes);
  return lookup;
}

Value Lookup::getOffsetAddress(DeviceBuilder &b, Value index) const {
  Value wideIndex = b.zeroExtend(index), wideBytes = b.zeroExtend(offsetBytes);
  return b.add(offsets, b.multiply(wideIndex, wideBytes));
}

/// The offset of these halves, or kNoOffset.
Value Lookup::checkShortOffset(DeviceBuilder &b, Value low, Value high) const {
  Value isShort = b.compare(Predicate::eq, high, 0);
  Value isWithin = b.compare(Predicate::ule, low, numValues);
  Value none = b.i32(kNoOffset);
  return b.select(b.both(isShort, isWithin), low, none);
}

Value Lookup::loadShortOffset(DeviceBuilder &b, Value index) const {
  Value zero = b.i32(0), address = getOffsetAddress(b, index);
  Value low = b.load(address, b.getI32Type());
  Value high = b.loadIf(hasWideOffsets, b.add(address, 4), zero).front();
  return checkShortOffset(b, low, high);
}

Value Lookup::loadShortOffsetIf(DeviceBuilder &b, Value condition, Value index,
                                Value otherwise) const {
  Value zero = b.i32(0), address = getOffsetAddress(b, index);
  Value low = b.loadIf(condition, address, otherwise).front();
  Value hasHigh = b.both(condition, hasWideOffsets);
  Value high = b.loadIf(hasHigh, b.add(address, 4), zero).front();
  Value loaded = checkShortOffset(b, low, high);
  return b.select(condition, loaded, otherwise);
}

IdSpan IdSpan::between(DeviceBuilder &b, Value first, Value last) {
  // As an unsigned number kNoOffset is behind all others.
  Value isOrdered = b.compare(Predicate::ule, first, last);
  Value hasLast = b.compare(Predicate::ne, last, kNoOffset);
  Value isGood = b.both(isOrdered, hasLast);
  return {first, b.select(isGood, last, first), isGood};
}

OffsetPair Lookup::loadOffsets(DeviceBuilder &b, Value index) const {
  Type i64 = b.getI64Type();
  auto loadBoth = [&](int64_t bytes) {
    Type type = b.getIntegerType(8 * bytes);
    Value address = b.addressOf(offsets, index, bytes);
    Value begin = b.load(address, type);
    Value end = b.load(b.add(address, bytes), type);
    return std::pair(begin, end);
  };
  SmallVector<Value> both = b.branch(
      hasWideOffsets, {i64, i64},
      [&] {
        auto [begin, end] = loadBoth(8);
        return SmallVector<Value>{begin, end};
      },
      [&] {
        auto [begin, end] = loadBoth(4);
        Value wideBegin = b.signExtend(begin);
        Value wideEnd = b.signExtend(end);
        return SmallVector<Value>{wideBegin, wideEnd};
      });
  return {both[0], both[1]};
}

Value Lookup::loadOffset(DeviceBuilder &b, Value index) const {
  return b
      .branch(
          hasWideOffsets, b.getI64Type(),
          [&] {
            Value address = b.addressOf(offsets, index, 8);
            return SmallVector<Value>{b.load(address, b.getI64Type())};
          },
          [&] {
            Value address = b.addressOf(offsets, index, 4);
            Value narrow = b.load(address, b.getI32Type());
            return SmallVector<Value>{b.signExtend(narrow)};
          })
      .front();
}
