//===- Bags.cpp - The bag that a group of lanes pools ---------------------===//

#include "Bags.h"

using namespace mlir;
using namespace mlir::trec;

Bags::Bags(DeviceBuilder &b, const StepInput &input)
    : b(b), lookup(input.lookup),
      promise(Promise::load(b, input.configuration, input.lookup)) {
  const BagConfiguration &c = input.configuration;
  Value group =
      b.shiftRight(b.threadId(), llvm::Log2_64(c.gpuLowering.getLanesPerBag()));
  sample = b.add(b.multiply(input.step.index, getBagsPerBlock(c)), group);
  if (input.isShared)
    sample = input.step.index;
  place = b.add(lookup.firstOffset, sample);
  end = b.add(lookup.firstOffset, lookup.batchSize);
  if (c.weighting == Weighting::position)
    maxLength = lookup.loadMaxLength(b);
}

Value Bags::loadOffset(Value at) {
  return lookup.loadShortOffset(b, arith::MinSIOp::create(b, at, end));
}

Value Bags::isLong(const IdSpan &span) {
  if (!maxLength)
    return b.boolean(false);
  Value length = b.zeroExtend(b.subtract(span.end, span.begin));
  return b.compare(Predicate::sgt, length, maxLength);
}

IdSpan Bags::getSpan(Value firstOffset, Value lastOffset) {
  IdSpan span = IdSpan::between(b, firstOffset, lastOffset);
  if (maxLength)
    span.end = b.select(isLong(span), span.begin, span.end);
  return span;
}

Value Bags::isOther(const IdSpan &span) {
  Value length = b.zeroExtend(b.subtract(span.end, span.begin));
  return b.both(promise.isBroken(b, length), span.isGood);
}

Bag Bags::findByOffsets() {
  Value offset = loadOffset(place), behind = loadOffset(b.add(place, 1));
  IdSpan stored = IdSpan::between(b, offset, behind);
  Value isWrong = b.either(b.negate(stored.isGood), isLong(stored));
  IdSpan span = getSpan(offset, behind);
  return {span, b.both(isWrong, exists())};
}

/// Where the ids of the feature begin, or without a promise those of the bag. A
/// product that is too great is no place that offsets agree with.
Value Bags::findFirst() {
  if (promise.isOfAll && lookup.firstId)
    return lookup.firstId;
  Value idsBefore = lookup.loadIdsBefore(b);
  Value known = b.multiply(b.truncate(idsBefore), lookup.batchSize);
  Value isKnown =
      b.both(b.compare(Predicate::sge, idsBefore, 0), promise.isMade);
  Value hasOrder = b.compare(Predicate::eq, lookup.slots, 0);
  Value isLoaded = b.negate(b.both(isKnown, hasOrder));
  Value at = b.select(promise.isMade, lookup.firstOffset,
                      arith::MinSIOp::create(b, place, end));
  return lookup.loadShortOffsetIf(b, isLoaded, at, known);
}

/// No offset is waited for before ids are loaded. Each bag is held to where it
/// ends: the first one that has another length than promised then ends
/// elsewhere. Ids are read within the values whatever is promised.
Bag Bags::findByPromise() {
  Value zero = b.i32(0), first = findFirst();
  Value length = b.select(promise.isMade, b.truncate(promise.length), zero);
  Value begin = b.add(first, b.multiply(sample, length));
  Value behind = b.add(begin, length);
  Value next = arith::MinSIOp::create(b, b.add(place, 1), end);
  if (!promise.isOfAll)
    behind =
        lookup.loadShortOffsetIf(b, b.negate(promise.isMade), next, behind);
  IdSpan span = IdSpan::between(b, begin, behind);
  Value isFound = b.compare(Predicate::ne, first, kNoOffset);
  Value isWithin = b.compare(Predicate::ule, behind, lookup.numValues);
  span.isGood = b.both(span.isGood, b.both(isFound, isWithin));
  Value isThere = b.both(b.both(span.isGood, exists()), b.negate(isLong(span)));
  span.begin = b.select(isThere, begin, zero);
  span.end = b.select(isThere, behind, zero);
  Value stored = lookup.loadShortOffset(b, next);
  Value isEnd = b.compare(Predicate::eq, behind, stored);
  Value isWrong = b.both(exists(), b.negate(b.both(isThere, isEnd)));
  return {span, isWrong};
}

Bag Bags::find() { return promise ? findByPromise() : findByOffsets(); }
