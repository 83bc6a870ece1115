//===- Bags.cpp - The bag that a group of lanes pools ---------------------===//

#include "Bags.h"

using namespace mlir;
using namespace mlir::trec;

Bags::Bags(DeviceBuilder &b, const StepInput &input)
    : b(b), lookup(input.lookup) {
  const BagConfiguration &c = input.configuration;
  Value group =
      b.shiftRight(b.threadId(), llvm::Log2_64(c.gpuLowering.getLanes()));
  sample = b.add(b.multiply(input.step.index, getBagsPerBlock(c)), group);
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
