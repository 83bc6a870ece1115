//===- StagedBagStep.cpp - Bags whose rows come to shared memory ----------===//
//
// As BagStep.cpp, each group of lanes walks the rows of its own bag in order,
// and groups of a warp walk together. But rows come to stages in shared memory
// (RowStages.h), and those of several stages are in flight while one is added:
// a long bag waits for memory once, not once for as many rows as a lane has
// registers for.
//
// A warp needs no other: it copies its own rows, and waits for its own copies.
// Where there are so few bags that warps would have nothing to do, all warps of
// a block share one: each copies a part of the rows, and adds all of them in
// some of the columns.
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
  /// `c`: that of the input, or the part of a warp in it.
  StagedBagStepBuilder(DeviceBuilder &builder, const StepInput &input,
                       const BagConfiguration &c, const ColumnSplit &split)
      : b(builder), c(c), split(split), bag(builder, input, split),
        fetch(builder, c, input.idType, input.lookup,
              c.gpuLowering.getRowsInFlight()),
        stages(builder, c, input.lookup, split, input.shared),
        sums(builder, c, split), numStages(c.gpuLowering.getStages()),
        rowsPerStage(c.gpuLowering.getRowsInFlight()),
        numWarps(split.lanes > DeviceBuilder::kWarpLanes
                     ? c.gpuLowering.getWarps()
                     : 1) {}

  Value build();

private:
  bool isShared() const { return numWarps > 1; }
  Value getPosition(Value first) { return b.add(bag.span.begin, first); }
  Value getOwn(Value first);
  int64_t getRowsPerStep() const { return numWarps * rowsPerStage; }
  void sync() { isShared() ? b.syncBlock() : b.syncWarp(); }
  IdWindow startCopies(Value stage, Value first, ValueRange ids);
  SmallVector<Value> startFirst();
  SmallVector<Value> runStep(Value first, ValueRange state);
  int64_t getChunk();
  SmallVector<Value> addStage(RowStages &from, Value stage, Value numRows,
                              ValueRange before);
  SmallVector<Value> addStages(Value stage, Value numRows, ValueRange before);

  DeviceBuilder &b;
  const BagConfiguration &c;
  ColumnSplit split;
  PooledBag bag;
  RowFetch fetch;
  RowStages stages;
  DeviceSums sums;
  int64_t numStages, rowsPerStage;
  int64_t numWarps; // that share a bag
  Value longest;
};

} // namespace

/// The first row of the warp's part of the rows from `first` on.
Value StagedBagStepBuilder::getOwn(Value first) {
  if (!isShared())
    return first;
  Value warp =
      b.shiftRight(b.threadId(), llvm::Log2_64(DeviceBuilder::kWarpLanes));
  return b.add(first, b.multiply(warp, rowsPerStage));
}

/// Of the warp's rows from `first` of the bag on, to a stage.
IdWindow StagedBagStepBuilder::startCopies(Value stage, Value first,
                                           ValueRange ids) {
  IdWindow window =
      fetch.resolve(ids, getPosition(first), bag.span, bag.isWrong);
  stages.copy(stage, window, b.subtract(longest, first));
  stages.commit();
  return window;
}

/// All stages but the last, whose ids are returned. Ids of all of them are
/// loaded before the first is waited for.
SmallVector<Value> StagedBagStepBuilder::startFirst() {
  SmallVector<SmallVector<Value>> ids;
  SmallVector<Value> firsts;
  for (int64_t stage = 0; stage < numStages; ++stage) {
    firsts.push_back(getOwn(b.i32(stage * getRowsPerStep())));
    ids.push_back(fetch.loadIds(getPosition(firsts.back()), bag.span));
  }
  SmallVector<IdWindow> windows;
  for (int64_t stage = 0; stage < numStages - 1; ++stage)
    windows.push_back(startCopies(b.i32(stage), firsts[stage], ids[stage]));
  for (auto [stage, window] : llvm::enumerate(windows))
    stages.storeWeights(b.i32(stage), window);
  return ids.back();
}

/// A divisor of the rows of a stage, and even.
int64_t StagedBagStepBuilder::getChunk() {
  int64_t words = split.unitsPerLane * split.units.getWords();
  int64_t chunk = rowsPerStage;
  while (chunk % 4 == 0 && chunk * words > kMaxWords)
    chunk /= 2;
  return chunk;
}

/// Adds the rows of a warp's stage to the sums, each in its turn.
SmallVector<Value> StagedBagStepBuilder::addStage(RowStages &from, Value stage,
                                                  Value numRows,
                                                  ValueRange before) {
  auto addChunks = [&](Value first, Value end, int64_t chunk,
                       ValueRange before) {
    return b.loop(first, end, chunk, before,
                  [&](Value place, ValueRange state) {
                    auto added = llvm::to_vector_of<Value>(state);
                    SmallVector<StagedRow> rows;
                    for (int64_t i = 0; i < chunk; ++i)
                      rows.push_back(from.load(stage, place, i));
                    for (StagedRow &row : rows) {
                      if (Value &header = row.header.scaleAndBias)
                        header = sums.prepareHeader(header);
                      added = sums.add(added, row.words, row.header);
                    }
                    return added;
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

/// The same of the stages of all warps that share the bag.
SmallVector<Value> StagedBagStepBuilder::addStages(Value stage, Value numRows,
                                                   ValueRange before) {
  if (!isShared())
    return addStage(stages, stage, numRows, before);
  Value all = b.i32(getRowsPerStep()), none = b.i32(0);
  Value count = arith::MinSIOp::create(b, numRows, all);
  return b.loop(
      none, count, rowsPerStage, before, [&](Value first, ValueRange state) {
        Value warp = arith::DivUIOp::create(b, first, b.i32(rowsPerStage));
        RowStages ofWarp = stages.ofWarp(warp);
        Value left = b.subtract(count, first);
        return addStage(ofWarp, stage, left, state);
      });
}

/// Starts the last stage that is free, then adds the first one. The state: the
/// sums, whether anything is wrong, the number of the first stage, and the ids
/// for the last.
SmallVector<Value> StagedBagStepBuilder::runStep(Value first,
                                                 ValueRange state) {
  size_t numSums = sums.getCount();
  bag.isWrong = state[numSums];
  Value stage = state[numSums + 1];
  Value isFirst = b.compare(Predicate::eq, stage, 0);
  Value end = b.i32(numStages);
  Value free = b.subtract(b.select(isFirst, end, stage), 1);
  Value next = getOwn(b.add(first, (numStages - 1) * getRowsPerStep()));
  IdWindow window = startCopies(free, next, state.drop_front(numSums + 2));
  SmallVector<Value> ids =
      fetch.loadIds(getPosition(b.add(next, getRowsPerStep())), bag.span);
  stages.wait(numStages - 1);
  stages.storeWeights(free, window);
  sync();
  SmallVector<Value> after =
      addStages(stage, b.subtract(longest, first), state.take_front(numSums));
  sync();
  Value behind = b.add(stage, 1), zero = b.i32(0);
  Value isLast = b.compare(Predicate::eq, behind, numStages);
  after.push_back(bag.isWrong);
  after.push_back(b.select(isLast, zero, behind));
  llvm::append_range(after, ids);
  return after;
}

Value StagedBagStepBuilder::build() {
  bag.find();
  longest = bag.findLongest();
  SmallVector<Value> ids = startFirst();
  SmallVector<Value> state = sums.makeZeros();
  size_t numSums = state.size();
  state.push_back(bag.isWrong);
  state.push_back(b.i32(0));
  llvm::append_range(state, ids);
  Value zero = b.i32(0);
  SmallVector<Value> results = b.loop(
      zero, longest, getRowsPerStep(), state,
      [&](Value first, ValueRange state) { return runStep(first, state); });
  bag.isWrong = results[numSums];
  results.truncate(numSums);
  bag.store(b.both(b.threadId(), split.lanes - 1), results);
  return bag.isWrong;
}

Value mlir::trec::buildStagedBagStep(DeviceBuilder &b, const StepInput &input) {
  const BagConfiguration &c = input.configuration;
  if (!input.isShared)
    return StagedBagStepBuilder(b, input, c, ColumnSplit::ofGroup(c)).build();
  BagConfiguration part = getPartOfWarp(c);
  return StagedBagStepBuilder(b, input, part, ColumnSplit::ofBlock(c)).build();
}
