//===- PooledBag.cpp - The bag of a group of lanes, to its output ---------===//

#include "PooledBag.h"

using namespace mlir;
using namespace mlir::trec;

void PooledBag::find() {
  Bag found = bags.find();
  span = found.span;
  isWrong = found.isWrong;
  // A row has fewer than 2 to the power 32 elements: one product of 32 bits.
  Value sample = b.zeroExtend(bags.getSample());
  Value extent = b.zeroExtend(lookup.outputElements);
  Value place = b.multiply(sample, extent);
  outputRow =
      b.pin(b.add(lookup.output, b.multiply(place, output.getElementBytes())));
}

/// By the length of the bag, ids of -1 included.
void PooledBag::divide(SmallVector<Value> &sums) {
  Value length = b.subtract(span.end, span.begin);
  Value one = b.f32(1.0f);
  Value count = arith::SIToFPOp::create(b, b.getF32Type(), length);
  Value isEmpty = b.compare(Predicate::eq, length, 0);
  Value inverse = arith::DivFOp::create(b, one, count);
  Value factor = b.select(isEmpty, one, inverse);
  for (Value &sum : sums)
    sum = arith::MulFOp::create(b, sum, factor);
}

/// In an order of their own: only relaxed numerics have parts.
void PooledBag::addParts(SmallVector<Value> &sums) {
  int64_t lanes = c.gpuLowering.getLanes();
  int64_t ofBag = c.gpuLowering.getLanesPerBag();
  for (int64_t mask = lanes; mask < ofBag; mask *= 2)
    for (Value &sum : sums)
      sum = arith::AddFOp::create(b, sum, b.shuffleXor(sum, mask));
}

/// One group of those that share the bag stores it.
Value PooledBag::isStored() {
  int64_t lanes = c.gpuLowering.getLanes();
  int64_t ofBag = c.gpuLowering.getLanesPerBag();
  if (lanes == ofBag)
    return bags.exists();
  Value lane = b.both(b.threadId(), ofBag - 1);
  return b.both(bags.exists(), b.compare(Predicate::slt, lane, lanes));
}

void PooledBag::store(Value firstUnit, SmallVector<Value> sums) {
  addParts(sums);
  if (c.pooling == Pooling::mean)
    divide(sums);
  output.store(outputRow, firstUnit, sums, isStored());
}
