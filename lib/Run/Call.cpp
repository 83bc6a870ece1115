//===- Call.cpp - One call of forward, ready to be made -------------------===//

#include "trec/Run/Call.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>

using namespace mlir;
using namespace mlir::trec;

static const char *getName(int32_t type) {
  return type == TREC_INT32 ? "int32" : "int64";
}

std::string CallForm::describe() const {
  return std::string(getName(valuesType)) + " values, " + getName(bagsType) +
         (withOffsets ? " offsets" : " lengths");
}

template <typename T>
static std::vector<uint8_t> convert(ArrayRef<int64_t> elements) {
  std::vector<T> converted(elements.begin(), elements.end());
  // One byte more, so that an empty array has an address too.
  std::vector<uint8_t> bytes(converted.size() * sizeof(T) + 1);
  std::memcpy(bytes.data(), converted.data(), converted.size() * sizeof(T));
  return bytes;
}

IntegerArray::IntegerArray(ArrayRef<int64_t> elements, int32_t type)
    : bytes(type == TREC_INT32 ? convert<int32_t>(elements)
                               : convert<int64_t>(elements)) {}

static std::vector<int64_t> getBags(const Batch &batch, bool withOffsets) {
  if (!withOffsets)
    return batch.lengths;
  std::vector<int64_t> offsets{0};
  for (int64_t length : batch.lengths)
    offsets.push_back(offsets.back() + length);
  return offsets;
}

/// The ids of each key of the first batch: models of several pool them all.
static llvm::StringMap<int64_t> countIds(ArrayRef<Batch> batches) {
  const Batch &batch = batches.front();
  llvm::StringMap<int64_t> counts;
  auto length = batch.lengths.begin();
  for (const std::string &key : batch.keys)
    for (int64_t sample = 0; sample < batch.batchSize; ++sample)
      counts[key] += *length++;
  return counts;
}

Call::Prepared::Prepared(KJTType type, const Batch &batch, const CallForm &form)
    : values(batch.values, form.valuesType),
      bags(getBags(batch, form.withOffsets), form.bagsType),
      weights(batch.weights) {
  for (StringAttr key : type.getKeys())
    slots.push_back(llvm::find(batch.keys, key.getValue()) -
                    batch.keys.begin());
  // An unweighted model refuses weights, a weighted one their absence.
  weights.reserve(1);
  args.size = sizeof(args);
  args.num_keys = int64_t(batch.keys.size());
  args.slots = slots.data();
  args.values = values.data();
  args.num_values = int64_t(batch.values.size());
  args.values_type = form.valuesType;
  (form.withOffsets ? args.offsets : args.lengths) = bags.data();
  (form.withOffsets ? args.offsets_type : args.lengths_type) = form.bagsType;
  if (type.getWeighted()) {
    args.weights = weights.data();
    args.num_weights = int64_t(weights.size());
  }
}

Call::Call(const ModelIR &ir, ArrayRef<Batch> batches, const CallForm &form)
    : outputs(ir.getOutputLayout(), batches.front().batchSize,
              countIds(batches)) {
  for (auto [type, batch] : llvm::zip_equal(ir.getBatchTypes(), batches))
    this->batches.push_back(prepared.emplace_back(type, batch, form).args);
  args.size = sizeof(args);
  args.batch_size = batches.front().batchSize;
  setBatches(args, this->batches);
  outputs.attach(args);
}

llvm::Error Call::prepare(const Model &model) {
  if (!model.getDevice())
    return llvm::Error::success();
  auto made = DeviceCall::create(model.getDevice(), args, model.countOutputs());
  if (!made)
    return made.takeError();
  onDevice = std::move(*made);
  return llvm::Error::success();
}
