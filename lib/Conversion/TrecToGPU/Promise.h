//===- Promise.h - What is promised of the lengths of bags ------*- C++ -*-===//
//
// A constant of the kernel where all bags of a group have one length, else read
// off the lookup:
//
//   Promise promise = Promise::load(b, configuration, lookup);
//   Value isWrong = promise.isBroken(b, length);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_PROMISE_H
#define TREC_LIB_CONVERSION_TRECTOGPU_PROMISE_H

#include "Lookup.h"
#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

struct Promise {
  Value length;         // of each bag, an i64; null where no lookup has one
  Value isMade;         // an i1: for this lookup
  bool isOfAll = false; // of the group: it is made for certain

  static Promise load(DeviceBuilder &b, const BagConfiguration &configuration,
                      const Lookup &lookup);

  explicit operator bool() const { return bool(length); }
  /// An i1: whether a bag of so many ids (an i64) is another than promised.
  Value isBroken(DeviceBuilder &b, Value found) const;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_PROMISE_H
