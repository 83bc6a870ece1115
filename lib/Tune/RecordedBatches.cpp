//===- RecordedBatches.cpp - Ids that somebody recorded -------------------===//
//
// `values` (I32 or I64), `lengths` or `offsets` (likewise), and `weights` (F32)
// for a weighted batch; of the second batch `values.1` and so on: the files of
// `trec-run --inputs`. There the compiled model checks what is in them; here
// kernels are called that trust their caller, so all of it is checked before.
//
//===----------------------------------------------------------------------===//

#include "TuneWorkload.h"

#include "trec/Import/Safetensors.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {

class BatchReader {
public:
  BatchReader(const TensorFile &file, size_t argument)
      : file(file), suffix(argument ? "." + std::to_string(argument) : "") {}

  Expected<Batch> read(KJTType type);
  int32_t getIdsType() const { return idsType; }

private:
  Expected<const Tensor *> find(StringRef name, ArrayRef<StringRef> dtypes);
  Expected<std::vector<int64_t>> readIntegers(StringRef name);
  Error readLengths(Batch &batch);
  Error readWeights(Batch &batch);
  Error fail(StringRef name, const Twine &message) const {
    return createStringError(file.getPath() + ": tensor \"" + name + suffix +
                             "\": " + message);
  }

  const TensorFile &file;
  std::string suffix;
  int32_t idsType = TREC_INT64;
};

} // namespace

Expected<const Tensor *> BatchReader::find(StringRef name,
                                           ArrayRef<StringRef> dtypes) {
  const Tensor *tensor = file.find((name + suffix).str());
  if (!tensor)
    return fail(name, "expected one, got none");
  if (tensor->shape.size() != 1 || !llvm::is_contained(dtypes, tensor->dtype))
    return fail(name, "expected one dimension of " +
                          llvm::join(dtypes, " or ") + ", got " +
                          Twine(tensor->shape.size()) + " dimensions of " +
                          tensor->dtype);
  return tensor;
}

template <typename T> static std::vector<T> copyElements(const Tensor &tensor) {
  std::vector<T> elements(tensor.bytes.size() / sizeof(T));
  std::memcpy(elements.data(), tensor.bytes.data(),
              elements.size() * sizeof(T));
  return elements;
}

Expected<std::vector<int64_t>> BatchReader::readIntegers(StringRef name) {
  Expected<const Tensor *> tensor = find(name, {"I32", "I64"});
  if (!tensor)
    return tensor.takeError();
  if ((*tensor)->dtype == "I64")
    return copyElements<int64_t>(**tensor);
  std::vector<int32_t> narrow = copyElements<int32_t>(**tensor);
  return std::vector<int64_t>(narrow.begin(), narrow.end());
}

/// Of lengths or offsets; together they must be the values'.
Error BatchReader::readLengths(Batch &batch) {
  bool hasLengths = file.find("lengths" + suffix);
  StringRef name = hasLengths ? "lengths" : "offsets";
  Expected<std::vector<int64_t>> integers = readIntegers(name);
  if (!integers)
    return integers.takeError();
  batch.lengths = std::move(*integers);
  if (!hasLengths) {
    std::vector<int64_t> offsets = std::move(batch.lengths);
    batch.lengths.clear();
    if (offsets.empty() || offsets.front() != 0)
      return fail(name, "expected 0 as the first, got another");
    for (size_t i = 1; i < offsets.size(); ++i)
      batch.lengths.push_back(
          int64_t(uint64_t(offsets[i]) - uint64_t(offsets[i - 1])));
  }
  auto left = int64_t(batch.values.size());
  for (auto [bag, length] : llvm::enumerate(batch.lengths)) {
    if (length < 0 || length > left)
      return fail(name,
                  "expected bags within the " + Twine(batch.values.size()) +
                      " values, got another length for bag " + Twine(bag));
    left -= length;
  }
  if (left)
    return fail(name, "expected bags of all values, got " + Twine(left) +
                          " values behind them");
  return Error::success();
}

Error BatchReader::readWeights(Batch &batch) {
  Expected<const Tensor *> weights = find("weights", {"F32"});
  if (!weights)
    return weights.takeError();
  batch.weights = copyElements<float>(**weights);
  if (batch.weights.size() == batch.values.size())
    return Error::success();
  return fail("weights", "expected one for each of " +
                             Twine(batch.values.size()) + " values, got " +
                             Twine(batch.weights.size()));
}

Expected<Batch> BatchReader::read(KJTType type) {
  Batch batch;
  for (StringAttr key : type.getKeys())
    batch.keys.push_back(key.str());
  Expected<std::vector<int64_t>> values = readIntegers("values");
  if (!values)
    return values.takeError();
  batch.values = std::move(*values);
  if (file.find("values" + suffix)->dtype == "I32")
    idsType = TREC_INT32;
  if (Error error = readLengths(batch))
    return std::move(error);
  auto features = int64_t(batch.keys.size());
  auto bags = int64_t(batch.lengths.size());
  if (!bags || bags % features)
    return fail("values", "expected bags in a multiple of the model's " +
                              Twine(features) + " features, got " +
                              Twine(bags));
  batch.batchSize = bags / features;
  if (type.getWeighted())
    if (Error error = readWeights(batch))
      return std::move(error);
  return batch;
}

Expected<RecordedBatches> mlir::trec::readRecordedBatches(StringRef path,
                                                          ModuleOp module) {
  Expected<TensorFile> file = TensorFile::open(path);
  if (!file)
    return file.takeError();
  RecordedBatches recorded;
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  for (auto [index, type] :
       llvm::enumerate(forward.getFunctionType().getInputs())) {
    BatchReader reader(*file, index);
    Expected<Batch> batch = reader.read(cast<KJTType>(type));
    if (!batch)
      return batch.takeError();
    if (index == 0)
      recorded.idsType = reader.getIdsType();
    recorded.batches.push_back(std::move(*batch));
    if (recorded.batches.back().batchSize != recorded.batches[0].batchSize)
      return createStringError(path + ": expected batches of one size");
  }
  return recorded;
}
