//===- StepReport.cpp - What a warp has to tell of a step -----------------===//

#include "StepReport.h"
#include "trec/Runtime/DeviceABI.h"

using namespace mlir;
using namespace mlir::trec;

/// Above all kinds: what kinds are subtracted from, for the gravest to be
/// least.
static constexpr int64_t kKindLimit = 8;
static_assert(TREC_GPU_BAD_LENGTH < kKindLimit);

/// The sample that the id at a position is of: the last one whose offset is not
/// behind it. i64.
Value StepReport::findSample(Value position) {
  Value none = b.i64(0);
  Value count = b.zeroExtend(lookup.batchSize);
  Value first = b.zeroExtend(lookup.firstOffset);
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getI64Type(), b.getI64Type()}, ValueRange{none, count},
      [&](OpBuilder &, Location, ValueRange state) {
        Value rest = b.subtract(state[1], state[0]);
        Value isOpen = b.compare(Predicate::sgt, rest, 1);
        scf::ConditionOp::create(b, isOpen, state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        Value middle = b.shiftRight(b.add(state[0], state[1]), 1);
        Value offset = lookup.loadOffset(b, b.add(first, middle));
        Value isBehind = b.compare(Predicate::sgt, offset, position);
        Value low = b.select(isBehind, state[0], middle);
        Value high = b.select(isBehind, middle, state[1]);
        scf::YieldOp::create(b, ValueRange{low, high});
      });
  return loop.getResult(0);
}

StepReport::Description StepReport::describeId(Value position) {
  Value sample = findSample(position);
  Value place = b.add(b.zeroExtend(lookup.firstOffset), sample);
  Value begin = lookup.loadOffset(b, place);
  Value address = b.addressOf(lookup.values, position, idType.getWidth() / 8);
  Value id = b.load(address, idType);
  return {sample, begin, position,
          idType.getWidth() == 64 ? id : b.signExtend(id)};
}

/// The offset that ends a bag.
StepReport::Description StepReport::describeOffset(Value position) {
  Value first = b.zeroExtend(lookup.firstOffset);
  Value sample = b.subtract(b.subtract(position, first), 1);
  Value begin = b.i64(0);
  return {sample, begin, position, lookup.loadOffset(b, position)};
}

/// The offset that begins a bag.
StepReport::Description StepReport::describeBag(Value position) {
  Value first = b.zeroExtend(lookup.firstOffset);
  Value sample = b.subtract(position, first);
  OffsetPair bag = lookup.loadOffsets(b, position);
  return {sample, bag.begin, position, b.subtract(bag.end, bag.begin)};
}

StepReport::Description StepReport::describeOutput() {
  Value none = b.i64(-1), zero = b.i64(0);
  Value first = lookup.loadOffset(b, lookup.firstOffset);
  Value behind = b.add(lookup.firstOffset, lookup.batchSize);
  Value last = lookup.loadOffset(b, behind);
  return {none, zero, none, b.subtract(last, first)};
}

StepReport::Description StepReport::describe(Value kind, Value position) {
  SmallVector<Type> types(4, b.getI64Type());
  auto is = [&](int64_t code) { return b.compare(Predicate::eq, kind, code); };
  return b.branch(
      is(TREC_GPU_BAD_ID), types, [&] { return describeId(position); },
      [&] {
        return b.branch(
            is(TREC_GPU_BAD_OFFSET), types,
            [&] { return describeOffset(position); },
            [&] {
              Value isBag =
                  b.either(is(TREC_GPU_LONG_BAG), is(TREC_GPU_OTHER_LENGTH));
              return b.branch(
                  isBag, types, [&] { return describeBag(position); },
                  [&] { return describeOutput(); });
            });
      });
}

void StepReport::write(Value kind, Value position) {
  Description place = describe(kind, position);
  report.write({kind, lookup.batch, b.zeroExtend(lookup.index), place[0],
                place[1], place[2], place[3]});
}

/// One thread tells for all. Bad ids of a lookup that repeats another are that
/// one's to tell.
void StepReport::tell(const Findings &findings) {
  Value counts = b.compare(Predicate::ne, lookup.loadCountsBadIds(b), 0);
  Value isId = b.compare(Predicate::eq, findings.kind, TREC_GPU_BAD_ID);
  Value isTold = b.either(counts, b.exclusive(isId, b.boolean(true)));
  Value nothing = b.i32(TREC_GPU_NOTHING);
  Value kind = b.zeroExtend(b.select(isTold, findings.kind, nothing));
  Value limit = b.i64(kKindLimit);
  Value rank = b.shiftLeft(b.subtract(limit, kind), 32);
  Value order = b.either(rank, b.zeroExtend(findings.position));
  Value numBadIds = findings.numBadIds;
  for (int64_t mask = 1; mask < DeviceBuilder::kWarpLanes; mask *= 2) {
    Value other = b.shuffleXor(order, mask);
    order = arith::MinUIOp::create(b, order, other);
    numBadIds = b.add(numBadIds, b.shuffleXor(numBadIds, mask));
  }
  Value lane = b.both(b.threadId(), DeviceBuilder::kWarpLanes - 1);
  Value isTeller = b.compare(Predicate::eq, lane, 0);
  Value gravest = b.subtract(limit, b.shiftRight(order, 32));
  Value position = b.both(order, 0xffffffff);
  Value hasBadIds = b.compare(Predicate::ne, numBadIds, 0);
  Value countsThem = b.both(b.both(hasBadIds, counts), isTeller);
  b.doIf(countsThem, [&] { report.count(b.zeroExtend(numBadIds)); });
  Value isWrong = b.compare(Predicate::ne, gravest, TREC_GPU_NOTHING);
  b.doIf(b.both(isWrong, isTeller), [&] { write(gravest, position); });
}
