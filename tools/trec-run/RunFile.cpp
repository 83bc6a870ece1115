//===- RunFile.cpp - trec-run --inputs --outputs --------------------------===//
//
// Inputs: `values` (I32 or I64, the ids of all features in the model's order),
// `lengths` or `offsets` (likewise), and `weights` (F32) for a weighted model.
// Outputs: one tensor [B, dim] per key.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "trec/Import/Safetensors.h"

#include "llvm/ADT/StringExtras.h"

#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {

/// A tensor of the inputs, at an address that suits its elements.
struct Input {
  const Tensor *tensor = nullptr;
  std::vector<int64_t> storage;

  explicit operator bool() const { return tensor; }
  const void *data() const { return tensor ? storage.data() : nullptr; }
  int64_t size() const { return tensor ? tensor->shape.front() : 0; }
  int32_t getType() const {
    return tensor && tensor->dtype == "I32" ? TREC_INT32 : TREC_INT64;
  }
};

struct Inputs {
  Input values, lengths, offsets, weights;
};

} // namespace

static Expected<Input> readInput(const TensorFile &file, StringRef name,
                                 ArrayRef<StringRef> dtypes) {
  Input input;
  input.tensor = file.find(name);
  if (!input.tensor)
    return input;
  if (input.tensor->shape.size() != 1 ||
      !llvm::is_contained(dtypes, input.tensor->dtype))
    return createStringError(file.getPath() + ": tensor \"" + name +
                             "\": expected one dimension of " +
                             llvm::join(dtypes, " or ") + ", got " +
                             Twine(input.tensor->shape.size()) +
                             " dimensions of " + input.tensor->dtype);
  ArrayRef<uint8_t> bytes = input.tensor->bytes;
  input.storage.resize(bytes.size() / sizeof(int64_t) + 1);
  std::memcpy(input.storage.data(), bytes.data(), bytes.size());
  return input;
}

static Expected<Inputs> readInputs(const TensorFile &file) {
  Inputs inputs;
  std::pair<Input *, StringRef> integers[] = {{&inputs.values, "values"},
                                              {&inputs.lengths, "lengths"},
                                              {&inputs.offsets, "offsets"}};
  for (auto [input, name] : integers) {
    auto read = readInput(file, name, {"I32", "I64"});
    if (!read)
      return read.takeError();
    *input = std::move(*read);
  }
  auto weights = readInput(file, "weights", {"F32"});
  if (!weights)
    return weights.takeError();
  inputs.weights = std::move(*weights);
  if (!inputs.values || bool(inputs.lengths) == bool(inputs.offsets))
    return createStringError(file.getPath() +
                             ": expected tensors \"values\" and one of "
                             "\"lengths\" and \"offsets\"");
  return inputs;
}

/// Samples per feature, from the number of bags.
static Expected<int64_t> getBatchSize(const TensorFile &file,
                                      const Inputs &inputs, int64_t features) {
  int64_t bags =
      inputs.lengths ? inputs.lengths.size() : inputs.offsets.size() - 1;
  if (bags >= 0 && bags % features == 0)
    return bags / features;
  return createStringError(
      file.getPath() + ": expected lengths in a multiple of the model's " +
      Twine(features) + " features (offsets: and one more), got " +
      Twine(bags) + " bags");
}

static StringRef getDType(Type element) {
  return element.isF32() ? "F32" : element.isF16() ? "F16" : "BF16";
}

/// Cuts the output into one tensor per key. Keys that repeat get a number.
static Error writeOutputs(KeyedTensorType type, ArrayRef<uint8_t> output,
                          int64_t batchSize, StringRef path) {
  int64_t elementBytes = type.getElement().getIntOrFloatBitWidth() / 8;
  int64_t rowBytes = type.getTotalDim() * elementBytes;
  int64_t begin = 0;
  std::vector<std::vector<uint8_t>> storage;
  std::vector<Tensor> tensors;
  llvm::StringMap<int> uses;
  for (auto [key, dim] : llvm::zip(type.getKeys(), type.getDims())) {
    int use = ++uses[key.getValue()];
    int64_t width = dim * elementBytes;
    std::vector<uint8_t> &bytes = storage.emplace_back();
    for (int64_t sample = 0; sample < batchSize; ++sample)
      llvm::append_range(bytes, output.slice(sample * rowBytes + begin, width));
    begin += width;
    tensors.push_back({key.str() + (use > 1 ? "#" + std::to_string(use) : ""),
                       getDType(type.getElement()).str(),
                       {batchSize, dim},
                       bytes});
  }
  return writeTensorFile(path, std::move(tensors));
}

static trec_forward_args makeArgs(const Inputs &inputs, int64_t batchSize,
                                  int64_t features) {
  trec_forward_args args{};
  args.size = sizeof(args);
  args.batch_size = batchSize;
  args.num_keys = features;
  args.values = inputs.values.data();
  args.num_values = inputs.values.size();
  args.values_type = inputs.values.getType();
  args.lengths = inputs.lengths.data();
  args.lengths_type = inputs.lengths.getType();
  args.offsets = inputs.offsets.data();
  args.offsets_type = inputs.offsets.getType();
  args.weights = static_cast<const float *>(inputs.weights.data());
  args.num_weights = inputs.weights.size();
  return args;
}

Error mlir::trec::runFile(const ModelLibrary &library,
                          const RunOptions &options) {
  Expected<TensorFile> file = TensorFile::open(options.inputs);
  if (!file)
    return file.takeError();
  Expected<Inputs> inputs = readInputs(*file);
  if (!inputs)
    return inputs.takeError();
  Expected<ModelIR> ir = ModelIR::parse(library);
  if (!ir)
    return ir.takeError();
  int64_t features = int64_t(ir->getBatchType().getKeys().size());
  Expected<int64_t> batchSize = getBatchSize(*file, *inputs, features);
  if (!batchSize)
    return batchSize.takeError();
  Expected<Model> model =
      createWithAnyWeights(library, *ir, options.weights, options.threads);
  if (!model)
    return model.takeError();

  KeyedTensorType type = ir->getOutputType();
  std::vector<uint8_t> output(*batchSize * type.getTotalDim() *
                              type.getElement().getIntOrFloatBitWidth() / 8);
  trec_forward_args args = makeArgs(*inputs, *batchSize, features);
  args.output = output.data();
  args.output_bytes = output.size();
  trec_error error;
  if (model->forward(args, error) != TREC_OK)
    return createStringError(options.inputs + ": " + error.message);
  return writeOutputs(type, output, *batchSize, options.outputs);
}
