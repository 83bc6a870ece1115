//===- Batch.cpp - Ops that read the batch --------------------------------===//

#include "OpMeanings.h"

#include "llvm/ADT/STLExtras.h"

#include <numeric>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

static Error checkBatch(const Batch &batch) {
  size_t bags = batch.keys.size() * batch.batchSize;
  if (batch.lengths.size() != bags)
    return createStringError("expected " + Twine(bags) + " lengths, got " +
                             Twine(batch.lengths.size()));
  int64_t total = 0;
  for (int64_t length : batch.lengths) {
    if (length < 0)
      return createStringError("expected lengths of at least 0, got " +
                               Twine(length));
    total += length;
  }
  if (total != int64_t(batch.values.size()))
    return createStringError("expected " + Twine(total) +
                             " ids, the sum of the lengths, got " +
                             Twine(batch.values.size()));
  if (!batch.weights.empty() && batch.weights.size() != batch.values.size())
    return createStringError("expected " + Twine(batch.values.size()) +
                             " weights, one per id, got " +
                             Twine(batch.weights.size()));
  return Error::success();
}

Error mlir::trec::checkBatches(ArrayRef<Batch> batches, size_t expected) {
  if (batches.size() != expected)
    return createStringError("expected " + Twine(expected) + " batches, got " +
                             Twine(batches.size()));
  for (const Batch &batch : batches) {
    if (batch.batchSize != batches.front().batchSize)
      return createStringError("expected batches of one size, got " +
                               Twine(batches.front().batchSize) + " and " +
                               Twine(batch.batchSize) + " samples");
    if (Error error = checkBatch(batch))
      return error;
  }
  return Error::success();
}

/// The part of `elements`, parallel to the ids, that belongs to one key. Where
/// several keys have the name, the first counts.
template <typename T>
static Expected<Jagged<T>> slice(const Batch &batch, ArrayRef<T> elements,
                                 StringRef key) {
  auto found = llvm::find(batch.keys, key);
  if (found == batch.keys.end())
    return createStringError("expected a batch with key \"" + key +
                             "\", got none of this name");
  int64_t firstBag = (found - batch.keys.begin()) * batch.batchSize;
  auto length = batch.lengths.begin() + firstBag;
  int64_t begin = std::accumulate(batch.lengths.begin(), length, int64_t(0));
  Jagged<T> jagged;
  jagged.offsets.push_back(0);
  for (int64_t sample = 0; sample < batch.batchSize; ++sample)
    jagged.offsets.push_back(jagged.offsets.back() + length[sample]);
  jagged.elements = elements.slice(begin, jagged.offsets.back()).vec();
  return jagged;
}

Expected<Ids> mlir::trec::takeFeature(const Batch &batch, StringRef key,
                                      std::optional<int64_t> length) {
  auto taken = slice<int64_t>(batch, batch.values, key);
  if (!taken)
    return taken.takeError();
  Ids ids{std::move(*taken), key.str()};
  for (int64_t sample = 0; length && sample < ids.getNumBags(); ++sample)
    if (int64_t found = ids.getBag(sample).size(); found != *length)
      return createStringError(
          "expected bags of " + Twine(*length) + " ids, got " + Twine(found) +
          " ids of feature \"" + ids.feature + "\", sample " + Twine(sample));
  return ids;
}

Expected<Weights> mlir::trec::takeSampleWeights(const Batch &batch,
                                                StringRef key) {
  if (batch.weights.empty() && !batch.values.empty())
    return createStringError("expected a batch with weights, got none");
  return slice<float>(batch, batch.weights, key);
}

Expected<Weights> mlir::trec::weightByPosition(const Ids &ids,
                                               ArrayRef<float> weights) {
  Weights result;
  result.offsets = ids.offsets;
  for (int64_t sample = 0; sample < ids.getNumBags(); ++sample) {
    size_t length = ids.getBag(sample).size();
    if (length > weights.size())
      return createStringError(
          "expected bags of at most " + Twine(weights.size()) +
          " ids, one per position weight, got " + Twine(length) +
          " ids of feature \"" + ids.feature + "\", sample " + Twine(sample));
    llvm::append_range(result.elements, weights.take_front(length));
  }
  return result;
}
