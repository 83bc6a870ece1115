//===- Inspection.cpp - What is wrong with a step -------------------------===//

#include "Inspection.h"
#include "Bags.h"
#include "DeviceIds.h"
#include "trec/Runtime/DeviceABI.h"

using namespace mlir;
using namespace mlir::trec;

/// Above all positions.
static constexpr int64_t kNowhere = std::numeric_limits<int32_t>::max();

namespace {

/// The lowest positions of each kind, and how many bad ids; i32.
struct Seen {
  Value numBadIds, badId, badBag, longBag, otherBag;

  SmallVector<Value> getValues() const {
    return {numBadIds, badId, badBag, longBag, otherBag};
  }
  static Seen of(ValueRange values) {
    return {values[0], values[1], values[2], values[3], values[4]};
  }
};

class InspectionBuilder {
public:
  InspectionBuilder(DeviceBuilder &builder, const StepInput &input)
      : b(builder), c(input.configuration), input(input), lookup(input.lookup),
        ids(builder, c.remap, lookup) {}

  Findings inspectBags();
  Findings inspectRows();

private:
  /// From the first id of a bag on, i32.
  struct Ids {
    Value first, stride;
  };
  Ids findIds();
  Seen makeSeen();
  void note(Value isSo, Value position, Value &lowest);
  void inspectIds(Value first, Value end, Value stride, Seen &seen);
  void inspectOffsets(Seen &seen);
  Findings findGravest(const Seen &seen, Value small, Value smallAt);

  DeviceBuilder &b;
  const BagConfiguration &c;
  const StepInput &input;
  const Lookup &lookup;
  DeviceIds ids;
};

} // namespace

Seen InspectionBuilder::makeSeen() {
  Value none = b.i32(0), nowhere = b.i32(kNowhere);
  return {none, nowhere, nowhere, nowhere, nowhere};
}

void InspectionBuilder::note(Value isSo, Value position, Value &lowest) {
  Value lower = arith::MinSIOp::create(b, lowest, position);
  lowest = b.select(isSo, lower, lowest);
}

/// The ids at `first` and each `stride` further.
void InspectionBuilder::inspectIds(Value first, Value end, Value stride,
                                   Seen &seen) {
  seen = Seen::of(b.loop(
      first, end, stride, seen.getValues(),
      [&](Value position, ValueRange carried) {
        Seen now = Seen::of(carried);
        int64_t bytes = input.idType.getWidth() / 8;
        Value address = b.addressOf(lookup.values, position, bytes);
        Value isThere = b.boolean(true);
        Value isBad = ids.resolve(b.load(address, input.idType), isThere).isBad;
        Value one = arith::ExtUIOp::create(b, b.getI32Type(), isBad);
        now.numBadIds = b.add(now.numBadIds, one);
        note(isBad, position, now.badId);
        return now.getValues();
      }));
}

/// Which ids of its bag a lane has met: the lanes of a group share those of its
/// bag, those of a warp its part of a bag that all warps share.
InspectionBuilder::Ids InspectionBuilder::findIds() {
  int64_t lanes = c.gpuLowering.getLanesPerBag();
  if (!input.isShared)
    return {b.both(b.threadId(), lanes - 1), b.i32(lanes)};
  constexpr int64_t warpLanes = DeviceBuilder::kWarpLanes;
  int64_t rows = getPartOfWarp(c).gpuLowering.getRowsInFlight();
  Value warp = b.shiftRight(b.threadId(), llvm::Log2_64(warpLanes));
  Value lane = b.both(b.threadId(), warpLanes - 1);
  Value isInPart = b.compare(Predicate::slt, lane, rows);
  // Behind all ids, and not so far that a sum would overflow.
  Value nowhere = b.i32(kNowhere / 2);
  Value first = b.add(b.multiply(warp, rows), lane);
  return {b.select(isInPart, first, nowhere),
          b.i32(rows * c.gpuLowering.getWarps())};
}

Findings InspectionBuilder::inspectBags() {
  Bags bags(b, input);
  Value place = bags.getPlace(), behind = b.add(place, 1);
  Value first = bags.loadOffset(place), last = bags.loadOffset(behind);
  Seen seen = makeSeen();
  IdSpan stored = IdSpan::between(b, first, last);
  Value exists = bags.exists();
  note(b.both(exists, b.negate(stored.isGood)), behind, seen.badBag);
  note(b.both(exists, bags.isLong(stored)), place, seen.longBag);
  note(b.both(exists, bags.isOther(stored)), place, seen.otherBag);
  IdSpan bag = bags.getSpan(first, last);
  Ids ids = findIds();
  inspectIds(b.add(bag.begin, ids.first), bag.end, ids.stride, seen);
  Value no = b.boolean(false);
  return findGravest(seen, no, seen.badId);
}

/// The threads of all blocks share the offsets of the samples.
void InspectionBuilder::inspectOffsets(Seen &seen) {
  int64_t threads = getThreadsPerBlock(c);
  Value from = b.add(b.multiply(input.step.index, threads), b.threadId());
  Value stride = b.multiply(input.step.stride, threads);
  Promise promise = Promise::load(b, c, lookup);
  seen = Seen::of(b.loop(from, lookup.batchSize, stride, seen.getValues(),
                         [&](Value sample, ValueRange carried) {
                           Seen now = Seen::of(carried);
                           Value place = b.add(lookup.firstOffset, sample);
                           OffsetPair pair = lookup.loadOffsets(b, place);
                           Value isBad =
                               b.compare(Predicate::sgt, pair.begin, pair.end);
                           note(isBad, b.add(place, 1), now.badBag);
                           Value length = b.subtract(pair.end, pair.begin);
                           Value isOther = promise.isBroken(b, length);
                           note(isOther, place, now.otherBag);
                           return now.getValues();
                         }));
}

/// A group looks at the ids that it has worked on, in each of the block's
/// steps: other warps may have met nothing, and look at nothing.
Findings InspectionBuilder::inspectRows() {
  Seen seen = makeSeen();
  inspectOffsets(seen);
  Value lastPlace = b.add(lookup.firstOffset, lookup.batchSize);
  Value first = lookup.loadShortOffset(b, lookup.firstOffset);
  Value last = lookup.loadShortOffset(b, lastPlace);
  IdSpan span = IdSpan::between(b, first, last);
  note(b.negate(span.isGood), lastPlace, seen.badBag);
  Value count = b.zeroExtend(b.subtract(span.end, span.begin));
  Value isSmall = b.compare(Predicate::sgt, count, lookup.outputRows);
  Value end = b.select(isSmall, span.begin, span.end);
  GPULoweringConfigAttr lowering = c.gpuLowering;
  int64_t lanes = lowering.getLanes(), perGroup = lowering.getRowsInFlight();
  Value lane = b.both(b.threadId(), lanes - 1), apart = b.i32(lanes);
  Value group = b.shiftRight(b.threadId(), llvm::Log2_64(lanes));
  Value inStep = b.add(b.multiply(group, perGroup), span.begin);
  int64_t perStep = getBagsPerBlock(c);
  Value from = b.add(b.multiply(input.step.index, perStep), inStep);
  Value stride = b.multiply(input.step.stride, perStep);
  seen = Seen::of(b.loop(from, end, stride, seen.getValues(),
                         [&](Value begin, ValueRange carried) {
                           Seen now = Seen::of(carried);
                           Value behind = b.add(begin, perGroup);
                           Value stop = arith::MinSIOp::create(b, behind, end);
                           inspectIds(b.add(begin, lane), stop, apart, now);
                           return now.getValues();
                         }));
  return findGravest(seen, isSmall, lastPlace);
}

Findings InspectionBuilder::findGravest(const Seen &seen, Value small,
                                        Value smallAt) {
  Value kind = b.i32(TREC_GPU_NOTHING), position = b.i32(0);
  auto take = [&](Value isSo, int64_t graver, Value where) {
    Value code = b.i32(graver);
    kind = b.select(isSo, code, kind);
    position = b.select(isSo, where, position);
  };
  auto takeSeen = [&](Value where, int64_t graver) {
    take(b.compare(Predicate::ne, where, kNowhere), graver, where);
  };
  takeSeen(seen.badId, TREC_GPU_BAD_ID);
  takeSeen(seen.longBag, TREC_GPU_LONG_BAG);
  takeSeen(seen.otherBag, TREC_GPU_OTHER_LENGTH);
  take(small, TREC_GPU_SMALL_OUTPUT, smallAt);
  takeSeen(seen.badBag, TREC_GPU_BAD_OFFSET);
  return {seen.numBadIds, kind, position};
}

Findings mlir::trec::buildInspection(DeviceBuilder &b, const StepInput &input) {
  InspectionBuilder inspection(b, input);
  return input.configuration.pooling ? inspection.inspectBags()
                                     : inspection.inspectRows();
}
