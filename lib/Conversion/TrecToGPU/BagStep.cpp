//===- BagStep.cpp - Bags pooled by groups of lanes -----------------------===//
//
// Each group of lanes walks the rows of its own bag in order. Groups of a warp
// walk together, as many rows as the longest of their bags has; a row that a
// bag has not changes no sum.
//
// Registers are what limits how many warps are there to wait for memory, so
// little is kept while rows are added: no counts, and no second bag.
//
//===----------------------------------------------------------------------===//

#include "PooledBag.h"
#include "RowFetch.h"

using namespace mlir;
using namespace mlir::trec;

/// Rows at the end of a bag are added as many at a time: few too many are read,
/// and none is waited for alone.
static constexpr int64_t kShortChunk = 4;

/// Whether the rows of every bag are in flight at once, in one pass: none waits
/// for another, and there is no loop.
static bool hasAllInFlight(const BagConfiguration &c) {
  GPULoweringConfigAttr lowering = c.gpuLowering;
  int64_t perPass = lowering.getLanes() * lowering.getUnitsPerLane();
  return lowering.getBagParts() == 1 &&
         c.lengths.areAtMost(lowering.getRowsInFlight()) &&
         *c.lengths.common > 0 && RowUnits::of(c.row).count <= perPass;
}

namespace {

class BagStepBuilder {
public:
  BagStepBuilder(DeviceBuilder &builder, const StepInput &input)
      : b(builder), c(input.configuration), lookup(input.lookup),
        bag(builder, input, ColumnSplit::ofGroup(c)),
        fetch(builder, c, input.idType, lookup, selectWindowSize(c)),
        numLanes(c.gpuLowering.getLanes()),
        rowsInFlight(c.gpuLowering.getRowsInFlight()),
        bagParts(c.gpuLowering.getBagParts()) {}

  Value build();

private:
  void poolColumns(Value firstUnit);
  static int64_t selectWindowSize(const BagConfiguration &c) {
    return hasAllInFlight(c) ? *c.lengths.common
                             : RowFetch::selectWindowSize(c.gpuLowering);
  }
  SmallVector<Value> addAll(Value firstUnit);
  SmallVector<Value> addRows(Value firstUnit);
  SmallVector<Value> addWindow(const IdWindow &window, Value numLeft,
                               ValueRange before, Value firstUnit);
  SmallVector<Value> addChunk(const IdWindow &window, const Chunk &chunk,
                              ValueRange before, Value firstUnit);
  SmallVector<Value> addOnlyChunk(const IdWindow &window, Value numLeft,
                                  ValueRange before, Value firstUnit);
  int64_t getUnitsPerPass() {
    return numLanes * c.gpuLowering.getUnitsPerLane();
  }

  DeviceBuilder &b;
  const BagConfiguration &c;
  const Lookup &lookup;
  PooledBag bag;
  RowFetch fetch;
  int64_t numLanes, rowsInFlight, bagParts;
  Value longest; // where rows are added in a loop
};

} // namespace

/// Adds the rows of a chunk to the sums, each in its turn.
SmallVector<Value> BagStepBuilder::addChunk(const IdWindow &window,
                                            const Chunk &chunk,
                                            ValueRange before,
                                            Value firstUnit) {
  auto sums = llvm::to_vector_of<Value>(before);
  auto rows = fetch.loadRows(window, chunk, firstUnit);
  SmallVector<Value> headers = fetch.loadHeaders(window, chunk);
  for (int64_t i = 0; i < chunk.rows; ++i) {
    RowHeader header = fetch.getHeader(window, headers, chunk, i);
    sums = fetch.getSums().add(sums, rows[i], header);
  }
  return sums;
}

/// Adds the rows of a window that is one chunk, or half of them where no bag of
/// the warp has more.
SmallVector<Value> BagStepBuilder::addOnlyChunk(const IdWindow &window,
                                                Value numLeft,
                                                ValueRange before,
                                                Value firstUnit) {
  auto add = [&](int64_t rows) {
    return addChunk(window, {rows, Value()}, before, firstUnit);
  };
  int64_t half = llvm::divideCeil(rowsInFlight, 2);
  if (half < kShortChunk)
    return add(rowsInFlight);
  Value isLong = b.compare(Predicate::sgt, numLeft, half * bagParts);
  return b.branch(
      isLong, TypeRange(before), [&] { return add(rowsInFlight); },
      [&] { return add(half); });
}

/// Adds the rows of a window, of which `numLeft` are there in some bag of the
/// warp: in whole chunks first, then in short ones.
SmallVector<Value> BagStepBuilder::addWindow(const IdWindow &window,
                                             Value numLeft, ValueRange before,
                                             Value firstUnit) {
  if (!fetch.hasOneIdPerLane())
    return addOnlyChunk(window, numLeft, before, firstUnit);
  Value all = b.i32(fetch.getWindowSize()), none = b.i32(0);
  Value count = arith::MinSIOp::create(b, numLeft, all);
  auto addChunks = [&](Value from, Value to, int64_t rows, ValueRange before) {
    return b.loop(from, to, rows * bagParts, before,
                  [&](Value first, ValueRange sums) {
                    return addChunk(window, {rows, first}, sums, firstUnit);
                  });
  };
  if (rowsInFlight <= kShortChunk || bagParts > 1)
    return addChunks(none, count, rowsInFlight, before);
  Value perChunk = b.i32(rowsInFlight);
  Value inShort = arith::RemUIOp::create(b, count, perChunk);
  Value whole = b.subtract(count, inShort);
  return addChunks(whole, count, kShortChunk,
                   addChunks(none, whole, rowsInFlight, before));
}

/// The sums of a bag whose rows are all in flight. One that breaks the promise
/// has no rows.
SmallVector<Value> BagStepBuilder::addAll(Value firstUnit) {
  SmallVector<Value> ids = fetch.loadIds(bag.span.begin, bag.span);
  IdWindow window = fetch.resolve(ids, bag.span.begin, bag.span, bag.isWrong);
  return addChunk(window, {fetch.getWindowSize(), Value()},
                  fetch.getSums().makeZeros(), firstUnit);
}

/// The sums of the bag. The ids of the next window are loaded before the rows
/// of this one are waited for.
SmallVector<Value> BagStepBuilder::addRows(Value firstUnit) {
  SmallVector<Value> ids = fetch.loadIds(bag.span.begin, bag.span);
  IdWindow first = fetch.resolve(ids, bag.span.begin, bag.span, bag.isWrong);
  SmallVector<Value> carried = fetch.getSums().makeZeros();
  size_t numSums = carried.size();
  carried.push_back(bag.isWrong);
  llvm::append_range(carried, first.getValues());
  Value zero = b.i32(0);
  int64_t size = fetch.getWindowSize();
  SmallVector<Value> results =
      b.loop(zero, longest, size, carried, [&](Value done, ValueRange state) {
        bag.isWrong = state[numSums];
        IdWindow window = first.withValues(state.drop_front(numSums + 1));
        Value next = b.add(b.add(bag.span.begin, done), size);
        SmallVector<Value> nextIds = fetch.loadIds(next, bag.span);
        SmallVector<Value> added =
            addWindow(window, b.subtract(longest, done),
                      state.take_front(numSums), firstUnit);
        window = fetch.resolve(nextIds, next, bag.span, bag.isWrong);
        added.push_back(bag.isWrong);
        llvm::append_range(added, window.getValues());
        return added;
      });
  bag.isWrong = results[numSums];
  results.truncate(numSums);
  return results;
}

/// One pass over the bag, for the units that a lane holds at once.
void BagStepBuilder::poolColumns(Value firstUnit) {
  bag.store(firstUnit,
            hasAllInFlight(c) ? addAll(firstUnit) : addRows(firstUnit));
}

Value BagStepBuilder::build() {
  bag.find();
  if (!hasAllInFlight(c))
    longest = bag.findLongest();
  int64_t numUnits = fetch.getSums().getUnits().count;
  if (numUnits <= getUnitsPerPass()) {
    poolColumns(fetch.getLane());
    return bag.isWrong;
  }
  Value from = b.i32(0), to = b.i32(numUnits);
  return b
      .loop(from, to, getUnitsPerPass(), bag.isWrong,
            [&](Value unit, ValueRange carried) {
              bag.isWrong = carried[0];
              poolColumns(b.add(unit, fetch.getLane()));
              return SmallVector<Value>{bag.isWrong};
            })
      .front();
}

Value mlir::trec::buildBagStep(DeviceBuilder &b, const StepInput &input) {
  return BagStepBuilder(b, input).build();
}
