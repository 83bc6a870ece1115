//===- CompareCalls.cpp - Which of some models on a GPU is faster ---------===//

#include "CompareCalls.h"

#include "CompareKernels.h"

#include <chrono>

using namespace mlir;
using namespace mlir::trec;
using llvm::Error;
using llvm::Expected;

/// Beside which waiting for the stream takes no time.
static constexpr double kTurnSeconds = 0.001;
static constexpr size_t kFewestRounds = 25, kMostCalls = 1 << 14;
static constexpr uint64_t kSeed = 1;

/// Offsets: with lengths their sum would be measured too.
static CallForm getForm(int32_t idsType) {
  CallForm form;
  form.valuesType = idsType;
  form.withOffsets = true;
  return form;
}

Error CallComparer::addLoad(const BenchLoad &load, const TuneWorkload &workload,
                            const Model &model) {
  Load &added = loads.emplace_back();
  added.form = getForm(load.idsType);
  added.batches =
      BatchMaker(ir.getModule(), workload.getTables(), load, kSeed).make();
  BatchSizes sizes;
  BenchCallMaker maker(ir, workload.getTables(), load, added.form, kSeed);
  Expected<BenchCalls> calls = maker.make(model, sizes);
  if (!calls)
    return calls.takeError();
  added.calls = std::move(*calls);
  return Error::success();
}

Error CallComparer::addRecorded(const RecordedBatches &recorded,
                                const Model &model) {
  Load &added = loads.emplace_back();
  added.form = getForm(recorded.idsType);
  added.batches = recorded.batches;
  added.calls.push_back(std::make_unique<Call>(ir, added.batches, added.form));
  return added.calls.back()->prepare(model);
}

Error CallComparer::addLoads(const TuneWorkload &workload, const Model &model) {
  device = model.getDevice();
  if (const RecordedBatches *recorded = workload.getRecorded())
    return addRecorded(*recorded, model);
  for (const BenchLoad &load : workload.getLoads())
    if (Error error = addLoad(load, workload, model))
      return error;
  return Error::success();
}

static bool isSame(const OutputBuffers &a, const OutputBuffers &b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i])
      return false;
  return true;
}

Expected<std::optional<CallComparer::ModelPair>>
CallComparer::findOtherBits(ArrayRef<Model> models, ArrayRef<int64_t> orders) {
  trec_error error;
  for (const Load &load : loads) {
    std::vector<std::unique_ptr<Call>> calls;
    for (size_t i = 0; i < models.size(); ++i) {
      calls.push_back(std::make_unique<Call>(ir, load.batches, load.form));
      if (calls[i]->run(models[i], error) != TREC_OK)
        return llvm::createStringError(error.message);
      size_t first = llvm::find(orders, orders[i]) - orders.begin();
      if (!isSame(calls[i]->getOutputs(), calls[first]->getOutputs()))
        return ModelPair(first, i);
      if (first != i)
        calls[i].reset();
    }
  }
  return std::nullopt;
}

/// Seconds of so many calls, which go on where they stopped.
Expected<double> CallComparer::time(Load &load, const Model &model,
                                    size_t count) {
  trec_error error;
  auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < count; ++i) {
    if (load.calls[load.next]->launch(model, error) != TREC_OK)
      return llvm::createStringError(error.message);
    load.next = load.next + 1 == load.calls.size() ? 0 : load.next + 1;
  }
  if (Error failure = device->wait())
    return failure;
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - begin;
  if (model.finish(error) != TREC_OK)
    return llvm::createStringError(error.message);
  return elapsed.count();
}

/// As many calls as take long enough. Also warms up.
Expected<size_t> CallComparer::countCalls(Load &load, const Model &model) {
  for (size_t count = 1;; count *= 2) {
    Expected<double> seconds = time(load, model, count);
    if (!seconds)
      return seconds.takeError();
    if (*seconds >= kTurnSeconds || count >= kMostCalls)
      return count;
  }
}

Expected<std::vector<CallTime>>
CallComparer::compare(Load &load, ArrayRef<Model> models, double seconds) {
  Expected<size_t> count = countCalls(load, models.front());
  if (!count)
    return count.takeError();
  std::vector<std::vector<double>> times(models.size()), ratios(models.size());
  double spent = 0;
  for (size_t round = 0; round < kFewestRounds || spent < seconds; ++round) {
    // Another one goes first in each round.
    for (size_t i = 0; i < models.size(); ++i) {
      size_t model = (round + i) % models.size();
      Expected<double> taken = time(load, models[model], *count);
      if (!taken)
        return taken.takeError();
      spent += *taken;
      times[model].push_back(*taken * 1e6 / double(*count));
    }
    for (size_t model = 0; model < models.size(); ++model)
      ratios[model].push_back(times[model].back() / times[0].back());
  }
  std::vector<CallTime> result;
  for (size_t model = 0; model < models.size(); ++model) {
    auto [ratio, error] = findMedian(std::move(ratios[model]));
    result.push_back({findMedian(std::move(times[model])).first, ratio, error});
  }
  return result;
}

Expected<std::vector<CallComparer::CandidateTimes>>
CallComparer::compare(ArrayRef<Model> models, double seconds) {
  std::vector<CandidateTimes> result(models.size());
  for (Load &load : loads) {
    Expected<std::vector<CallTime>> times = compare(load, models, seconds);
    if (!times)
      return times.takeError();
    for (auto [candidate, time] : llvm::zip_equal(result, *times))
      candidate.push_back(time);
  }
  return result;
}
