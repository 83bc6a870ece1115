//===- BenchCalls.cpp - Calls of a model on the batches of a load ---------===//

#include "trec/Run/BenchCalls.h"

#include <numeric>
#include <unistd.h>

using namespace mlir;
using namespace mlir::trec;
using llvm::Error;
using llvm::Expected;

static constexpr int minBatches = 8, maxBatches = 32768;
/// How many times the caches the rows of all batches together are.
static constexpr int cacheMultiple = 3;
/// Of the ids and outputs of all batches.
static constexpr int64_t maxPreparedBytes = int64_t(512) << 20;

/// What the caches hold, as far as the system says.
static int64_t countCacheBytes(const Model &model) {
  int64_t bytes = model.getDevice() ? model.getDevice()->countCacheBytes() : 0;
  if (bytes)
    return bytes;
  for (int name : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE})
    bytes += std::max<int64_t>(0, sysconf(name));
  return bytes ? bytes : int64_t(32) << 20;
}

static int64_t countIds(ArrayRef<Batch> batches) {
  int64_t ids = 0;
  for (const Batch &batch : batches)
    ids += int64_t(batch.values.size());
  return ids;
}

static int64_t countPreparedBytes(ArrayRef<Batch> batches, const ModelIR &ir) {
  const OutputLayout &layout = ir.getOutputLayout();
  int64_t columns = layout.getDims().front();
  if (layout.isPooled())
    columns = std::accumulate(layout.getDims().begin(), layout.getDims().end(),
                              int64_t(0));
  int64_t ids = countIds(batches), integers = ids;
  for (const Batch &batch : batches)
    integers += int64_t(batch.lengths.size());
  int64_t rows = layout.isPooled() ? batches.front().batchSize : ids;
  return integers * 8 + rows * columns * layout.getElementBytes();
}

static int64_t countBatches(int64_t cacheBytes, int64_t rowBytes,
                            int64_t preparedBytes) {
  int64_t wanted = cacheMultiple * cacheBytes / std::max<int64_t>(1, rowBytes);
  int64_t allowed = maxPreparedBytes / std::max<int64_t>(1, preparedBytes);
  return std::clamp<int64_t>(std::min(wanted, allowed), minBatches, maxBatches);
}

Expected<BenchCalls> BenchCallMaker::make(const Model &model,
                                          BatchSizes &sizes) {
  std::vector<Batch> batch = batches.make();
  int64_t count =
      countBatches(countCacheBytes(model), batches.countRowBytes(batch),
                   countPreparedBytes(batch, ir));
  sizes.numBatches = count;
  BenchCalls calls;
  for (int64_t i = 0; i < count; ++i) {
    sizes.ids += double(countIds(batch)) / double(count);
    sizes.rowBytes += double(batches.countRowBytes(batch)) / double(count);
    calls.push_back(std::make_unique<Call>(ir, batch, form));
    if (Error error = calls.back()->prepare(model))
      return error;
    batch = batches.make();
  }
  return calls;
}
