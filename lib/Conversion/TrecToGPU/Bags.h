//===- Bags.h - The bag that a group of lanes pools -------------*- C++ -*-===//
//
// A place is that of an offset in a batch's offsets: a bag's is that of the
// offset where it begins.
//
//   Bags bags(b, input);
//   Value first = bags.loadOffset(bags.getPlace());
//   IdSpan bag = bags.getSpan(first, second);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_BAGS_H
#define TREC_LIB_CONVERSION_TRECTOGPU_BAGS_H

#include "Promise.h"
#include "Steps.h"

namespace mlir::trec {

/// Where the ids of a bag are, and whether the bag is wrong (an i1).
struct Bag {
  IdSpan span;
  Value isWrong;
};

/// All values are i32 unless noted.
class Bags {
public:
  Bags(DeviceBuilder &b, const StepInput &input);

  Value getSample() const { return sample; }
  Value getPlace() const { return place; }
  /// An i1: groups of the last step may have no bag.
  Value exists() { return b.compare(Predicate::slt, sample, lookup.batchSize); }

  /// The offset at a place. What lies behind the samples begins where the last
  /// one ends: those bags are empty.
  Value loadOffset(Value at);

  /// A bag with offsets that cannot be is empty, and so is one that has more
  /// ids than there are weights by position.
  IdSpan getSpan(Value firstOffset, Value lastOffset);
  /// An i1: more ids than weights.
  Value isLong(const IdSpan &span);
  /// An i1: another length than promised; of offsets that cannot be, none.
  Value isOther(const IdSpan &span);

  /// The bag of the step. Where its length is promised, it is found without a
  /// look at offsets, as far as those in front of it are promised too.
  Bag find();

private:
  Bag findByOffsets();
  Bag findByPromise();
  Value findFirst();

  DeviceBuilder &b;
  const Lookup &lookup;
  Value sample, place, end;
  Value maxLength; // an i64; null where weights are not by position
  Promise promise;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_BAGS_H
