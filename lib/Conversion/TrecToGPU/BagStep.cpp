//===- BagStep.cpp - Bags pooled by groups of lanes -----------------------===//
//
// Each group of lanes walks the rows of its own bag in order. Groups of a warp
// walk together, as many rows as the longest of their bags has; a row that a
// bag has not changes no sum.
//
//===----------------------------------------------------------------------===//

#include "OutputRow.h"
#include "RowFetch.h"
#include "Steps.h"
#include "trec/Runtime/DeviceABI.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// A bag's ids and what is wrong with it, for the lanes of its group.
struct Bag {
  Value sample;   // i32
  Value isActive; // there is such a sample
  IdRange ids;
  Value length; // i32
  Value kind, position;
};

class BagStepBuilder {
public:
  BagStepBuilder(DeviceBuilder &builder, const StepInput &input)
      : b(builder), c(input.configuration), lookup(input.lookup),
        step(input.step), fetch(builder, c, input.idType, lookup),
        output(builder, c), numLanes(c.gpuLowering.getLanes()),
        rowsInFlight(c.gpuLowering.getRowsInFlight()) {}

  StepResult build();

private:
  Bag findBag();
  void checkLength(Bag &bag);
  Value getLongestOfWarp(Value length);
  void poolColumns(const Bag &bag, Value longest, Value firstUnit,
                   SeenBadIds &badIds);
  SmallVector<Value> addChunk(const Bag &bag, Value position,
                              ValueRange carried, Value firstUnit);
  void storeSums(const Bag &bag, Value firstUnit, SmallVector<Value> sums);
  int64_t getUnitsPerPass() {
    return numLanes * c.gpuLowering.getUnitsPerLane();
  }
  size_t getNumSums() {
    return c.gpuLowering.getUnitsPerLane() * fetch.getSums().getUnits().columns;
  }

  DeviceBuilder &b;
  const BagConfiguration &c;
  const Lookup &lookup;
  Step step;
  RowFetch fetch;
  OutputRow output;
  int64_t numLanes, rowsInFlight;
};

} // namespace

/// A bag with offsets that cannot be is empty, and so is one that has more ids
/// than there are weights by position.
Bag BagStepBuilder::findBag() {
  Bag bag;
  Value group = b.shiftRight(b.threadId(), llvm::Log2_64(numLanes));
  bag.sample = b.add(b.multiply(step.index, getBagsPerBlock(c)), group);
  bag.isActive = b.compare(Predicate::slt, bag.sample, lookup.batchSize);
  Value place = b.add(lookup.firstOffset, bag.sample);
  Type types[] = {b.getI64Type(), b.getI64Type()};
  SmallVector<Value> offsets = b.branch(
      bag.isActive, types,
      [&] {
        OffsetPair pair = lookup.loadOffsets(b, place);
        return SmallVector<Value>{pair.begin, pair.end};
      },
      [&] { return SmallVector<Value>(2, b.i64(0)); });
  Value begin = offsets[0], end = offsets[1];
  // Unsigned, so that negative ones are not.
  Value isOrdered = b.compare(Predicate::ule, begin, end);
  Value isWithin = b.compare(Predicate::ule, end, lookup.numValues);
  Value isGood = b.both(isOrdered, isWithin);
  Value zero = b.i32(0);
  bag.ids.begin = b.select(isGood, b.truncate(begin), zero);
  bag.ids.end = b.select(isGood, b.truncate(end), zero);
  bag.length = b.subtract(bag.ids.end, bag.ids.begin);
  Value badOffset = b.i32(TREC_GPU_BAD_OFFSET);
  bag.kind = b.select(isGood, zero, badOffset);
  bag.position = b.add(place, 1);
  return bag;
}

void BagStepBuilder::checkLength(Bag &bag) {
  if (c.weighting != Weighting::position)
    return;
  Value most = lookup.loadMaxLength(b);
  Value isLong = b.compare(Predicate::sgt, b.zeroExtend(bag.length), most);
  bag.ids.end = b.select(isLong, bag.ids.begin, bag.ids.end);
  bag.length = b.subtract(bag.ids.end, bag.ids.begin);
  Value longBag = b.i32(TREC_GPU_LONG_BAG);
  bag.kind = b.select(isLong, longBag, bag.kind);
  Value place = b.add(lookup.firstOffset, bag.sample);
  bag.position = b.select(isLong, place, bag.position);
}

/// All lanes of a warp have to take part in its shuffles.
Value BagStepBuilder::getLongestOfWarp(Value length) {
  for (int64_t mask = numLanes; mask < DeviceBuilder::kWarpLanes; mask *= 2) {
    Value other = b.shuffleXor(length, mask);
    length = arith::MaxSIOp::create(b, length, other);
  }
  return length;
}

/// Adds the rows from `position` in the bag on, as many as are in flight. Ids
/// of the rows behind them are loaded before these rows are waited for. Carried
/// are the sums, the resolved ids and the bad ones.
SmallVector<Value> BagStepBuilder::addChunk(const Bag &bag, Value position,
                                            ValueRange carried,
                                            Value firstUnit) {
  size_t numSums = getNumSums();
  SmallVector<Value> sums =
      llvm::to_vector_of<Value>(carried.take_front(numSums));
  IdChunk chunk =
      IdChunk::of(carried.drop_front(numSums).drop_back(2), c.isWeighted());
  SeenBadIds badIds = {carried[carried.size() - 2],
                       carried[carried.size() - 1]};

  Value next = b.add(b.add(bag.ids.begin, position), rowsInFlight);
  SmallVector<Value> nextIds = fetch.loadIds(next, bag.ids);
  SmallVector<SmallVector<Value>> rows = fetch.loadRows(chunk, firstUnit);
  SmallVector<Value> headers = fetch.loadHeaders(chunk);
  for (int64_t i = 0; i < rowsInFlight; ++i) {
    RowHeader header = fetch.getHeader(chunk, headers, i);
    sums = fetch.getSums().add(sums, rows[i], header);
  }
  IdChunk nextChunk = fetch.resolve(nextIds, next, bag.ids, badIds);
  llvm::append_range(sums, nextChunk.getValues());
  llvm::append_values(sums, badIds.count, badIds.first);
  return sums;
}

void BagStepBuilder::storeSums(const Bag &bag, Value firstUnit,
                               SmallVector<Value> sums) {
  if (c.pooling == Pooling::mean) {
    Value one = b.f32(1.0f);
    Value count = arith::SIToFPOp::create(b, b.getF32Type(), bag.length);
    Value isEmpty = b.compare(Predicate::eq, bag.length, 0);
    Value inverse = arith::DivFOp::create(b, one, count);
    Value factor = b.select(isEmpty, one, inverse);
    for (Value &sum : sums)
      sum = arith::MulFOp::create(b, sum, factor);
  }
  b.doIf(bag.isActive, [&] {
    Value wide = b.zeroExtend(bag.sample);
    Value offset = b.multiply(wide, lookup.outputRowBytes);
    output.store(b.add(lookup.output, offset), firstUnit, sums);
  });
}

/// One pass over the bag, for the units that a lane holds at once.
void BagStepBuilder::poolColumns(const Bag &bag, Value longest, Value firstUnit,
                                 SeenBadIds &badIds) {
  SmallVector<Value> ids = fetch.loadIds(bag.ids.begin, bag.ids);
  IdChunk chunk = fetch.resolve(ids, bag.ids.begin, bag.ids, badIds);
  SmallVector<Value> carried = fetch.getSums().makeZeros();
  llvm::append_range(carried, chunk.getValues());
  llvm::append_values(carried, badIds.count, badIds.first);
  Value zero = b.i32(0);
  SmallVector<Value> results =
      b.loop(zero, longest, rowsInFlight, carried,
             [&](Value position, ValueRange state) {
               return addChunk(bag, position, state, firstUnit);
             });
  badIds = {results[results.size() - 2], results[results.size() - 1]};
  results.truncate(getNumSums());
  storeSums(bag, firstUnit, results);
}

StepResult BagStepBuilder::build() {
  Bag bag = findBag();
  checkLength(bag);
  Value longest = getLongestOfWarp(bag.length);
  SeenBadIds badIds = {b.i32(0), b.i32(SeenBadIds::kNone)};
  int64_t numUnits = fetch.getSums().getUnits().count;
  if (numUnits <= getUnitsPerPass()) {
    bag.ids.isNoted = b.boolean(true);
    poolColumns(bag, longest, fetch.getLane(), badIds);
  } else {
    Value from = b.i32(0), to = b.i32(numUnits);
    SmallVector<Value> noted = b.loop(
        from, to, getUnitsPerPass(), ValueRange{badIds.count, badIds.first},
        [&](Value unit, ValueRange carried) {
          Bag pass = bag;
          pass.ids.isNoted = b.compare(Predicate::eq, unit, 0);
          SeenBadIds inPass = {carried[0], carried[1]};
          Value firstUnit = b.add(unit, fetch.getLane());
          poolColumns(pass, longest, firstUnit, inPass);
          return SmallVector<Value>{inPass.count, inPass.first};
        });
    badIds = {noted[0], noted[1]};
  }
  Value next = b.add(step.index, step.stride);
  Value first = b.multiply(next, getBagsPerBlock(c));
  Value hasMore = b.compare(Predicate::slt, first, lookup.batchSize);
  Value hasBad = b.compare(Predicate::ne, badIds.count, 0);
  Value badId = b.i32(TREC_GPU_BAD_ID);
  Value kind = b.select(hasBad, badId, bag.kind);
  Value position = b.select(hasBad, badIds.first, bag.position);
  return {badIds.count, kind, position, hasMore};
}

StepResult mlir::trec::buildBagStep(DeviceBuilder &b, const StepInput &input) {
  return BagStepBuilder(b, input).build();
}
