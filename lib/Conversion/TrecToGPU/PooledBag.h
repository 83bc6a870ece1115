//===- PooledBag.h - The bag of a group of lanes, to its output -*- C++ -*-===//
//
// What kernels of bags do before and after the rows, however these come:
//
//   PooledBag bag(b, input, ColumnSplit::ofGroup(configuration));
//   bag.find();
//   … // add the rows of `bag.span`
//   bag.store(firstUnit, sums);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_POOLEDBAG_H
#define TREC_LIB_CONVERSION_TRECTOGPU_POOLEDBAG_H

#include "Bags.h"
#include "OutputRow.h"

namespace mlir::trec {

class PooledBag {
public:
  PooledBag(DeviceBuilder &builder, const StepInput &input,
            const ColumnSplit &split)
      : b(builder), c(input.configuration), lookup(input.lookup),
        bags(builder, input), output(builder, c, split) {}

  /// Finds the bag; before it there is nothing in what follows.
  void find();
  IdSpan span;
  Value isWrong; // i1: the bag, or an id so far

  /// How many ids the longest of the warp's bags has, an i32.
  Value findLongest() { return b.maxOfWarp(b.subtract(span.end, span.begin)); }

  /// Divides the sums by the length where it is a mean that is asked for, and
  /// stores them if there is such a bag.
  void store(Value firstUnit, SmallVector<Value> sums);

private:
  void addParts(SmallVector<Value> &sums);
  void divide(SmallVector<Value> &sums);
  Value isStored();

  DeviceBuilder &b;
  const BagConfiguration &c;
  const Lookup &lookup;
  Bags bags;
  OutputRow output;
  Value outputRow; // address of the bag's columns
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_POOLEDBAG_H
