//===- RowStep.cpp - The rows of ids --------------------------------------===//
//
// Without pooling. A group of lanes takes as many ids as there are rows in
// flight; an id's row is what a bag of this id alone would have.
//
//===----------------------------------------------------------------------===//

#include "OutputRow.h"
#include "Promise.h"
#include "RowFetch.h"
#include "Steps.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class RowStepBuilder {
public:
  RowStepBuilder(DeviceBuilder &builder, const StepInput &input)
      : b(builder), c(input.configuration), lookup(input.lookup),
        step(input.step), fetch(builder, c, input.idType, lookup,
                                c.gpuLowering.getRowsInFlight()),
        output(builder, c, ColumnSplit::ofGroup(c)),
        numLanes(c.gpuLowering.getLanes()),
        rowsInFlight(c.gpuLowering.getRowsInFlight()) {}

  Value build();

private:
  void findIds();
  void checkOffsets();
  void runStep(Value index);
  void writeRows(Value position, Value firstUnit);
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
  IdSpan ids;           // of the feature
  Value outputRowBytes; // i64
  Value isWrong;        // i1: anything so far
};

} // namespace

/// A feature with offsets that cannot be, or with more ids than its output has
/// rows, has no ids.
void RowStepBuilder::findIds() {
  Value lastPlace = b.add(lookup.firstOffset, lookup.batchSize);
  Value first = lookup.loadShortOffset(b, lookup.firstOffset);
  Value last = lookup.loadShortOffset(b, lastPlace);
  ids = IdSpan::between(b, first, last);
  Value count = b.zeroExtend(b.subtract(ids.end, ids.begin));
  Value isSmall = b.compare(Predicate::sgt, count, lookup.outputRows);
  ids.end = b.select(isSmall, ids.begin, ids.end);
  isWrong = b.either(isSmall, b.negate(ids.isGood));
}

/// The threads of all blocks look at the offsets of the samples, which nothing
/// else here reads.
void RowStepBuilder::checkOffsets() {
  int64_t threads = getThreadsPerBlock(c);
  Value from = b.add(b.multiply(step.index, threads), b.threadId());
  Value stride = b.multiply(step.stride, threads);
  Promise promise = Promise::load(b, c, lookup);
  isWrong = b.loop(from, lookup.batchSize, stride, isWrong,
                   [&](Value sample, ValueRange carried) {
                     Value place = b.add(lookup.firstOffset, sample);
                     OffsetPair pair = lookup.loadOffsets(b, place);
                     Value isBad =
                         b.compare(Predicate::sgt, pair.begin, pair.end);
                     Value length = b.subtract(pair.end, pair.begin);
                     isBad = b.either(isBad, promise.isBroken(b, length));
                     return SmallVector<Value>{b.either(carried[0], isBad)};
                   })
                .front();
}

void RowStepBuilder::writeRows(Value position, Value firstUnit) {
  SmallVector<Value> loaded = fetch.loadIds(position, ids);
  IdWindow window = fetch.resolve(loaded, position, ids, isWrong);
  Chunk chunk = {rowsInFlight, Value()};
  auto rows = fetch.loadRows(window, chunk, firstUnit);
  SmallVector<Value> headers = fetch.loadHeaders(window, chunk);
  for (int64_t i = 0; i < rowsInFlight; ++i) {
    RowHeader header = fetch.getHeader(window, headers, chunk, i);
    Value at = b.add(position, i);
    SmallVector<Value> sums =
        fetch.getSums().add(fetch.getSums().makeZeros(), rows[i], header);
    Value row = b.zeroExtend(b.subtract(at, ids.begin));
    Value offset = b.multiply(row, outputRowBytes);
    output.store(b.add(lookup.output, offset), firstUnit, sums,
                 b.compare(Predicate::slt, at, ids.end));
  }
}

/// The ids of one step: a pass for each part of their rows.
void RowStepBuilder::runStep(Value index) {
  Value group = b.shiftRight(b.threadId(), llvm::Log2_64(numLanes));
  Value firstOfBlock = b.add(b.multiply(index, getBagsPerBlock(c)), ids.begin);
  Value first = b.add(firstOfBlock, b.multiply(group, rowsInFlight));
  Value from = b.i32(0), to = b.i32(fetch.getSums().getUnits().count);
  isWrong = b.loop(from, to, getUnitsPerPass(), isWrong,
                   [&](Value unit, ValueRange carried) {
                     isWrong = carried[0];
                     writeRows(first, b.add(unit, fetch.getLane()));
                     return SmallVector<Value>{isWrong};
                   })
                .front();
}

Value RowStepBuilder::build() {
  findIds();
  checkOffsets();
  outputRowBytes =
      b.multiply(lookup.loadRowStride(b), output.getElementBytes());
  int64_t perBlock = getBagsPerBlock(c);
  Value count = b.add(b.subtract(ids.end, ids.begin), perBlock - 1);
  Value numSteps = arith::DivUIOp::create(b, count, b.i32(perBlock));
  return b
      .loop(step.index, numSteps, step.stride, isWrong,
            [&](Value index, ValueRange carried) {
              isWrong = carried[0];
              runStep(index);
              return SmallVector<Value>{isWrong};
            })
      .front();
}

Value mlir::trec::buildRowStep(DeviceBuilder &b, const StepInput &input) {
  return RowStepBuilder(b, input).build();
}
