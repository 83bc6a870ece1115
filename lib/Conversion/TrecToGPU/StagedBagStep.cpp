//===- StagedBagStep.cpp - Bags whose rows come to shared memory ----------===//
//
// As BagStep.cpp, each group of lanes walks the rows of its own bag in order,
// and groups of a warp walk together. But rows come to stages in shared memory
// (RowStages.h), and those of several stages are in flight while one is added:
// a long bag waits for memory once, not once for as many rows as a lane has
// registers for.
//
// A warp needs no other: it copies its own rows, and waits for its own copies.
//
//===----------------------------------------------------------------------===//

#include "PooledBag.h"
#include "RowStages.h"

using namespace mlir;
using namespace mlir::trec;

/// Words of rows that a lane loads from a stage before it adds the first of
/// them.
static constexpr int64_t kMaxWords = 16;
/// Rows at the end of a bag are added as many at a time: `RowStages::copy`
/// fills up with zeros to a multiple.
static constexpr int64_t kLastChunk = 2;

namespace {

class StagedBagStepBuilder {
public:
  StagedBagStepBuilder(DeviceBuilder &builder, const StepInput &input)
      : b(builder), c(input.configuration), bag(builder, input),
        fetch(builder, c, input.idType, input.lookup,
              c.gpuLowering.getRowsInFlight()),
        stages(builder, c, input.lookup, input.shared),
        numStages(c.gpuLowering.getStages()),
        rowsPerStage(c.gpuLowering.getRowsInFlight()) {}

  Value build();

private:
  Value getPosition(Value first) { return b.add(bag.span.begin, first); }
  IdWindow startCopies(Value stage, Value first, ValueRange ids);
  SmallVector<Value> startFirst();
  SmallVector<Value> runStep(Value first, ValueRange state);
  int64_t getChunk();
  SmallVector<Value> addStage(Value stage, Value numRows, ValueRange before);

  DeviceBuilder &b;
  const BagConfiguration &c;
  PooledBag bag;
  RowFetch fetch;
  RowStages stages;
  int64_t numStages, rowsPerStage;
};

} // namespace

/// Of the rows from `first` of the bag on, to a stage.
IdWindow StagedBagStepBuilder::startCopies(Value stage, Value first,
                                           ValueRange ids) {
  IdWindow window =
      fetch.resolve(ids, getPosition(first), bag.span, bag.isWrong);
  stages.copy(stage, window, b.subtract(bag.longest, first));
  stages.commit();
  return window;
}

/// All stages but the last, whose ids are returned. Ids of all of them are
/// loaded before the first is waited for.
SmallVector<Value> StagedBagStepBuilder::startFirst() {
  SmallVector<SmallVector<Value>> ids;
  for (int64_t stage = 0; stage < numStages; ++stage) {
    Value first = b.i32(stage * rowsPerStage);
    ids.push_back(fetch.loadIds(getPosition(first), bag.span));
  }
  SmallVector<IdWindow> windows;
  for (int64_t stage = 0; stage < numStages - 1; ++stage) {
    Value number = b.i32(stage), first = b.i32(stage * rowsPerStage);
    windows.push_back(startCopies(number, first, ids[stage]));
  }
  for (auto [stage, window] : llvm::enumerate(windows))
    stages.storeWeights(b.i32(stage), window);
  return ids.back();
}

/// A divisor of the rows of a stage, and even.
int64_t StagedBagStepBuilder::getChunk() {
  int64_t words =
      c.gpuLowering.getUnitsPerLane() * fetch.getSums().getUnits().getWords();
  int64_t chunk = rowsPerStage;
  while (chunk % 4 == 0 && chunk * words > kMaxWords)
    chunk /= 2;
  return chunk;
}

/// Adds the rows of a stage to the sums, each in its turn.
SmallVector<Value> StagedBagStepBuilder::addStage(Value stage, Value numRows,
                                                  ValueRange before) {
  auto addChunks = [&](Value from, Value to, int64_t chunk, ValueRange before) {
    return b.loop(from, to, chunk, before, [&](Value place, ValueRange state) {
      auto sums = llvm::to_vector_of<Value>(state);
      SmallVector<StagedRow> rows;
      for (int64_t i = 0; i < chunk; ++i)
        rows.push_back(stages.load(stage, place, i));
      for (const StagedRow &row : rows)
        sums = fetch.getSums().add(sums, row.words, row.header);
      return sums;
    });
  };
  Value all = b.i32(rowsPerStage), none = b.i32(0);
  Value count = arith::MinSIOp::create(b, numRows, all);
  int64_t chunk = getChunk();
  Value rest = arith::RemUIOp::create(b, count, b.i32(chunk));
  Value whole = b.subtract(count, rest);
  return addChunks(whole, count, kLastChunk,
                   addChunks(none, whole, chunk, before));
}

/// Starts the last stage that is free, then adds the first one. The state: the
/// sums, whether anything is wrong, the number of the first stage, and the ids
/// for the last.
SmallVector<Value> StagedBagStepBuilder::runStep(Value first,
                                                 ValueRange state) {
  size_t numSums = fetch.getSums().getCount();
  bag.isWrong = state[numSums];
  Value stage = state[numSums + 1];
  Value isFirst = b.compare(Predicate::eq, stage, 0);
  Value end = b.i32(numStages);
  Value free = b.subtract(b.select(isFirst, end, stage), 1);
  Value next = b.add(first, (numStages - 1) * rowsPerStage);
  IdWindow window = startCopies(free, next, state.drop_front(numSums + 2));
  SmallVector<Value> ids =
      fetch.loadIds(getPosition(b.add(next, rowsPerStage)), bag.span);
  stages.wait(numStages - 1);
  stages.storeWeights(free, window);
  b.syncWarp();
  SmallVector<Value> after = addStage(stage, b.subtract(bag.longest, first),
                                      state.take_front(numSums));
  b.syncWarp();
  Value behind = b.add(stage, 1), zero = b.i32(0);
  Value isLast = b.compare(Predicate::eq, behind, numStages);
  after.push_back(bag.isWrong);
  after.push_back(b.select(isLast, zero, behind));
  llvm::append_range(after, ids);
  return after;
}

Value StagedBagStepBuilder::build() {
  bag.find();
  SmallVector<Value> ids = startFirst();
  SmallVector<Value> state = fetch.getSums().makeZeros();
  size_t numSums = state.size();
  state.push_back(bag.isWrong);
  state.push_back(b.i32(0));
  llvm::append_range(state, ids);
  Value zero = b.i32(0);
  SmallVector<Value> results = b.loop(
      zero, bag.longest, rowsPerStage, state,
      [&](Value first, ValueRange state) { return runStep(first, state); });
  bag.isWrong = results[numSums];
  results.truncate(numSums);
  bag.store(fetch.getLane(), results);
  return bag.isWrong;
}

Value mlir::trec::buildStagedBagStep(DeviceBuilder &b, const StepInput &input) {
  return StagedBagStepBuilder(b, input).build();
}
