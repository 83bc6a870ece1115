//===- CompareCalls.h - Which of some models on a GPU is faster -*- C++ -*-===//
//
// Times calls of models against those of the first of them, in turns, as
// CompareKernels.h does. The calls of a turn are put on one stream, and its end
// is waited for.
//
//   CallComparer comparer(ir, device);
//   if (Error error = comparer.add(load, tables, model)) …
//   Expected<…> times = comparer.compare(models, /*seconds=*/0.5);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_COMPARECALLS_H
#define TREC_LIB_TUNE_COMPARECALLS_H

#include "SearchGPULowering.h"
#include "TuneWorkload.h"
#include "trec/Run/BenchCalls.h"

namespace mlir::trec {

class CallComparer {
public:
  using CandidateTimes = GPULoweringSearch::CandidateTimes;

  explicit CallComparer(const ModelIR &ir) : ir(ir) {}

  /// Makes the batches of each load of the workload, on the model's device.
  llvm::Error addLoads(const TuneWorkload &workload, const Model &model);

  /// Two models that add in the same order but whose outputs are not the same,
  /// the first of that order first; nothing where there are none. `orders` has
  /// a number for each model, equal where the orders are.
  using ModelPair = std::pair<size_t, size_t>;
  llvm::Expected<std::optional<ModelPair>>
  findOtherBits(ArrayRef<Model> models, ArrayRef<int64_t> orders);

  /// Of each model under each load.
  llvm::Expected<std::vector<CandidateTimes>> compare(ArrayRef<Model> models,
                                                      double seconds);

private:
  struct Load {
    std::vector<Batch> batches; // of one call, to compare bits of
    CallForm form;
    BenchCalls calls;
    size_t next = 0;
  };

  llvm::Error addLoad(const BenchLoad &load, const TuneWorkload &workload,
                      const Model &model);
  llvm::Error addRecorded(const RecordedBatches &recorded, const Model &model);
  llvm::Expected<double> time(Load &load, const Model &model, size_t count);
  llvm::Expected<size_t> countCalls(Load &load, const Model &model);
  llvm::Expected<std::vector<CallTime>>
  compare(Load &load, ArrayRef<Model> models, double seconds);

  const ModelIR &ir;
  std::shared_ptr<Device> device; // whose stream the calls are put on
  std::vector<Load> loads;
};

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_COMPARECALLS_H
