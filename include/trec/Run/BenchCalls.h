//===- BenchCalls.h - Calls of a model on the batches of a load -*- C++ -*-===//
//
// As many calls as make the rows of one leave the caches before it comes again:
//
//   BenchCallMaker maker(ir, tables, load, form, seed);
//   Expected<BenchCalls> calls = maker.make(model, sizes);
//   (*calls)[0]->launch(model, error);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_RUN_BENCHCALLS_H
#define TREC_RUN_BENCHCALLS_H

#include "trec/Bench/BenchBatch.h"
#include "trec/Run/Call.h"

namespace mlir::trec {

using BenchCalls = std::vector<std::unique_ptr<Call>>;

/// What the batches of a load are, on average.
struct BatchSizes {
  int64_t numBatches = 0;
  double ids = 0;
  double rowBytes = 0;
};

class BenchCallMaker {
public:
  /// `tables` says how many rows each has. All must outlive this.
  BenchCallMaker(const ModelIR &ir, const TableMap &tables,
                 const BenchLoad &load, CallForm form, uint64_t seed)
      : ir(ir), form(form), batches(ir.getModule(), tables, load, seed) {}

  /// Calls that are ready to be made of the model, or of another on its device.
  llvm::Expected<BenchCalls> make(const Model &model, BatchSizes &sizes);

private:
  const ModelIR &ir;
  CallForm form;
  BatchMaker batches;
};

} // namespace mlir::trec

#endif // TREC_RUN_BENCHCALLS_H
