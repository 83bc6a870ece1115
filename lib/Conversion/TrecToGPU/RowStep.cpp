//===- RowStep.cpp - The rows of ids --------------------------------------===//
//
// Without pooling. A group of lanes takes as many ids as there are rows in
// flight; an id's row is what a bag of this id alone would have.
//
//===----------------------------------------------------------------------===//

#include "OutputRow.h"
#include "RowFetch.h"
#include "Steps.h"
#include "trec/Runtime/DeviceABI.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class RowStepBuilder {
public:
  RowStepBuilder(DeviceBuilder &builder, const StepInput &input)
      : b(builder), c(input.configuration), lookup(input.lookup),
        step(input.step), fetch(builder, c, input.idType, lookup),
        output(builder, c), numLanes(c.gpuLowering.getLanes()),
        rowsInFlight(c.gpuLowering.getRowsInFlight()) {}

  StepResult build();

private:
  void findIds();
  void checkOffsets();
  void writeRows(Value position, Value firstUnit, IdRange range,
                 SeenBadIds &badIds);
  int64_t getUnitsPerPass() {
    return numLanes * c.gpuLowering.getUnitsPerLane();
  }

  DeviceBuilder &b;
  const BagConfiguration &c;
  const Lookup &lookup;
  Step step;
  RowFetch fetch;
  OutputRow output;
  int64_t numLanes, rowsInFlight;
  Value begin, end;     // of the ids of the feature; i32
  Value kind, position; // of what is wrong, i32
};

} // namespace

/// A feature with offsets that cannot be, or with more ids than its output has
/// rows, has no ids.
void RowStepBuilder::findIds() {
  Value lastPlace = b.add(lookup.firstOffset, lookup.batchSize);
  Value first = lookup.loadOffset(b, lookup.firstOffset);
  Value last = lookup.loadOffset(b, lastPlace);
  Value isOrdered = b.compare(Predicate::ule, first, last);
  Value isWithin = b.compare(Predicate::ule, last, lookup.numValues);
  Value isGood = b.both(isOrdered, isWithin);
  Value count = b.subtract(last, first);
  Value fits = b.compare(Predicate::sle, count, lookup.outputRows);
  Value isUsed = b.both(isGood, fits);
  Value zero = b.i32(0);
  begin = b.select(isUsed, b.truncate(first), zero);
  end = b.select(isUsed, b.truncate(last), zero);
  Value small = b.i32(TREC_GPU_SMALL_OUTPUT);
  Value badOffset = b.i32(TREC_GPU_BAD_OFFSET);
  Value whereGood = b.select(fits, zero, small);
  kind = b.select(isGood, whereGood, badOffset);
  position = lastPlace;
}

/// The threads of all blocks look at the offsets of the samples, which nothing
/// else here reads.
void RowStepBuilder::checkOffsets() {
  int64_t threads = c.gpuLowering.getWarps() * DeviceBuilder::kWarpLanes;
  Value thread = b.threadId();
  Value from = b.add(b.multiply(step.index, threads), thread);
  Value stride = b.multiply(step.stride, threads);
  SmallVector<Value> found =
      b.loop(from, lookup.batchSize, stride, ValueRange{kind, position},
             [&](Value sample, ValueRange carried) {
               Value place = b.add(lookup.firstOffset, sample);
               OffsetPair pair = lookup.loadOffsets(b, place);
               Value isBad = b.compare(Predicate::sgt, pair.begin, pair.end);
               Value isFirst =
                   b.compare(Predicate::ne, carried[0], TREC_GPU_BAD_OFFSET);
               Value isNoted = b.both(isBad, isFirst);
               Value badOffset = b.i32(TREC_GPU_BAD_OFFSET);
               Value kind = b.select(isNoted, badOffset, carried[0]);
               Value position = b.select(isNoted, b.add(place, 1), carried[1]);
               return SmallVector<Value>{kind, position};
             });
  kind = found[0];
  position = found[1];
}

void RowStepBuilder::writeRows(Value position, Value firstUnit, IdRange range,
                               SeenBadIds &badIds) {
  SmallVector<Value> ids = fetch.loadIds(position, range);
  IdChunk chunk = fetch.resolve(ids, position, range, badIds);
  SmallVector<SmallVector<Value>> rows = fetch.loadRows(chunk, firstUnit);
  SmallVector<Value> headers = fetch.loadHeaders(chunk);
  for (int64_t i = 0; i < rowsInFlight; ++i) {
    RowHeader header = fetch.getHeader(chunk, headers, i);
    Value at = b.add(position, i);
    SmallVector<Value> sums =
        fetch.getSums().add(fetch.getSums().makeZeros(), rows[i], header);
    b.doIf(b.compare(Predicate::slt, at, end), [&] {
      Value row = b.zeroExtend(b.subtract(at, begin));
      Value offset = b.multiply(row, lookup.outputRowBytes);
      output.store(b.add(lookup.output, offset), firstUnit, sums);
    });
  }
}

StepResult RowStepBuilder::build() {
  findIds();
  // Once: at the first step of each block.
  Value isFirst = b.compare(Predicate::slt, step.index, step.stride);
  Type i32 = b.getI32Type();
  SmallVector<Value> wrong = b.branch(
      isFirst, {i32, i32},
      [&] {
        checkOffsets();
        return SmallVector<Value>{kind, position};
      },
      [&] { return SmallVector<Value>(2, b.i32(0)); });
  Value group = b.shiftRight(b.threadId(), llvm::Log2_64(numLanes));
  int64_t perBlock = getBagsPerBlock(c);
  Value firstOfBlock = b.add(b.multiply(step.index, perBlock), begin);
  Value first = b.add(firstOfBlock, b.multiply(group, rowsInFlight));
  Value from = b.i32(0), to = b.i32(fetch.getSums().getUnits().count);
  Value none = b.i32(SeenBadIds::kNone);
  SmallVector<Value> noted =
      b.loop(from, to, getUnitsPerPass(), ValueRange{from, none},
             [&](Value unit, ValueRange carried) {
               Value isFirstPass = b.compare(Predicate::eq, unit, 0);
               SeenBadIds badIds = {carried[0], carried[1]};
               Value firstUnit = b.add(unit, fetch.getLane());
               writeRows(first, firstUnit, {begin, end, isFirstPass}, badIds);
               return SmallVector<Value>{badIds.count, badIds.first};
             });
  Value next = b.add(step.index, step.stride);
  Value firstOfNext = b.add(b.multiply(next, perBlock), begin);
  Value hasMore = b.compare(Predicate::slt, firstOfNext, end);
  // Offsets are graver than ids.
  Value isRight = b.compare(Predicate::eq, wrong[0], 0);
  Value hasBad = b.compare(Predicate::ne, noted[0], 0);
  Value isBadId = b.both(isRight, hasBad);
  Value badId = b.i32(TREC_GPU_BAD_ID);
  Value kind = b.select(isBadId, badId, wrong[0]);
  Value position = b.select(isBadId, noted[1], wrong[1]);
  return {noted[0], kind, position, hasMore};
}

StepResult mlir::trec::buildRowStep(DeviceBuilder &b, const StepInput &input) {
  return RowStepBuilder(b, input).build();
}
