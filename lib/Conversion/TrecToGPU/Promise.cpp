//===- Promise.cpp - What is promised of the lengths of bags --------------===//

#include "Promise.h"

using namespace mlir;
using namespace mlir::trec;

Promise Promise::load(DeviceBuilder &b, const BagConfiguration &configuration,
                      const Lookup &lookup) {
  const PromisedLengths &lengths = configuration.lengths;
  Promise promise;
  if (lengths.extent == PromisedLengths::none)
    return promise;
  promise.length =
      lengths.common ? b.i64(*lengths.common) : lookup.loadLength(b);
  promise.isOfAll = lengths.extent == PromisedLengths::all;
  promise.isMade = promise.isOfAll
                       ? b.boolean(true)
                       : b.compare(Predicate::sge, promise.length, 0);
  return promise;
}

Value Promise::isBroken(DeviceBuilder &b, Value found) const {
  if (!length)
    return b.boolean(false);
  return b.both(b.compare(Predicate::ne, found, length), isMade);
}
