//===- RunFile.cpp - trec-run --inputs --outputs --------------------------===//
//
// Inputs: `values` (I32 or I64, the ids of all features in the model's order),
// `lengths` or `offsets` (likewise), and `weights` (F32) for a weighted model;
// of the second batch `values.1` and so on. Outputs: one tensor [B, dim] per
// key or group; without pooling one tensor [ids, dim] per key, and one named
// `<key>.lengths` (I64) of the ids per sample.
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

struct FileBatches {
  std::vector<Inputs> inputs;
  /// Point into the inputs.
  std::vector<trec_batch> args;
  int64_t size = 0;
};

/// The lengths of the bags of each feature. Where the inputs are not well
/// formed they are bounded, for the model itself says what is wrong.
class BagLengths {
public:
  BagLengths(const Inputs &inputs, KJTType type, int64_t batchSize);

  ArrayRef<int64_t> of(StringRef feature) const {
    return ArrayRef(lengths).slice(*type.getKeyIndex(feature) * batchSize,
                                   batchSize);
  }
  llvm::StringMap<int64_t> countIds() const;

private:
  KJTType type;
  int64_t batchSize;
  int64_t numValues;
  std::vector<int64_t> lengths;
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

/// The tensors of one batch.
static Expected<Inputs> readInputs(const TensorFile &file, size_t batch) {
  Inputs inputs;
  std::string suffix = batch ? "." + std::to_string(batch) : "";
  std::pair<Input *, StringRef> integers[] = {{&inputs.values, "values"},
                                              {&inputs.lengths, "lengths"},
                                              {&inputs.offsets, "offsets"}};
  for (auto [input, name] : integers) {
    auto read = readInput(file, name.str() + suffix, {"I32", "I64"});
    if (!read)
      return read.takeError();
    *input = std::move(*read);
  }
  auto weights = readInput(file, "weights" + suffix, {"F32"});
  if (!weights)
    return weights.takeError();
  inputs.weights = std::move(*weights);
  if (!inputs.values || bool(inputs.lengths) == bool(inputs.offsets))
    return createStringError(file.getPath() + ": expected tensors \"values" +
                             suffix + "\" and one of \"lengths" + suffix +
                             "\" and \"offsets" + suffix + "\"");
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

static std::vector<int64_t> readIntegers(const Input &input) {
  std::vector<int64_t> integers;
  for (int64_t i = 0; i < input.size(); ++i)
    integers.push_back(input.getType() == TREC_INT32
                           ? static_cast<const int32_t *>(input.data())[i]
                           : static_cast<const int64_t *>(input.data())[i]);
  return integers;
}

BagLengths::BagLengths(const Inputs &inputs, KJTType type, int64_t batchSize)
    : type(type), batchSize(batchSize), numValues(inputs.values.size()) {
  lengths = readIntegers(inputs.lengths);
  std::vector<int64_t> offsets = readIntegers(inputs.offsets);
  for (size_t i = 1; i < offsets.size(); ++i)
    lengths.push_back(int64_t(uint64_t(offsets[i]) - uint64_t(offsets[i - 1])));
  for (int64_t &length : lengths)
    length = std::clamp<int64_t>(length, 0, numValues);
}

llvm::StringMap<int64_t> BagLengths::countIds() const {
  llvm::StringMap<int64_t> counts;
  for (StringAttr feature : type.getKeys()) {
    int64_t &count = counts[feature.getValue()];
    for (int64_t length : of(feature))
      count = std::min(count + length, numValues);
  }
  return counts;
}

static StringRef getDType(Type element) {
  if (element.isInteger(8))
    return "U8";
  return element.isF32() ? "F32" : element.isF16() ? "F16" : "BF16";
}

/// Cuts the output into one tensor per key.
static Error writeKeyed(const OutputLayout &layout, ArrayRef<uint8_t> output,
                        int64_t batchSize, StringRef path) {
  int64_t rowBytes = layout.getColumns(0) * layout.getElementBytes();
  int64_t begin = 0;
  std::vector<std::vector<uint8_t>> storage;
  std::vector<Tensor> tensors;
  for (auto [name, dim] :
       llvm::zip(layout.getTensorNames(), layout.getDims())) {
    int64_t width = dim * layout.getElementBytes();
    std::vector<uint8_t> &bytes = storage.emplace_back();
    for (int64_t sample = 0; sample < batchSize; ++sample)
      llvm::append_range(bytes, output.slice(sample * rowBytes + begin, width));
    begin += width;
    tensors.push_back(
        {name, getDType(layout.getElement()).str(), {batchSize, dim}, bytes});
  }
  return writeTensorFile(path, std::move(tensors));
}

static Error writeGroups(const OutputLayout &layout,
                         const OutputBuffers &outputs, int64_t batchSize,
                         StringRef path) {
  std::vector<Tensor> tensors;
  for (auto [index, name] : llvm::enumerate(layout.getTensorNames()))
    tensors.push_back({name,
                       getDType(layout.getElement()).str(),
                       {batchSize, layout.getDims()[index]},
                       outputs[index]});
  return writeTensorFile(path, std::move(tensors));
}

/// One tensor of rows per key, and one of the lengths of its bags.
static Error writeUnpooled(const OutputLayout &layout,
                           const OutputBuffers &outputs, const BagLengths &bags,
                           StringRef path) {
  std::vector<Tensor> tensors;
  for (auto [index, name] : llvm::enumerate(layout.getTensorNames())) {
    int64_t dim = layout.getDims()[index];
    ArrayRef<uint8_t> bytes = outputs[index];
    int64_t rows = int64_t(bytes.size()) / (dim * layout.getElementBytes());
    tensors.push_back(
        {name, getDType(layout.getElement()).str(), {rows, dim}, bytes});
    ArrayRef<int64_t> lengths = bags.of(layout.getFeatures()[index]);
    ArrayRef<uint8_t> lengthBytes(
        reinterpret_cast<const uint8_t *>(lengths.data()),
        lengths.size() * sizeof(int64_t));
    tensors.push_back(
        {name + ".lengths", "I64", {int64_t(lengths.size())}, lengthBytes});
  }
  return writeTensorFile(path, std::move(tensors));
}

static trec_batch makeBatch(const Inputs &inputs, KJTType type) {
  trec_batch args{};
  args.size = sizeof(args);
  args.num_keys = int64_t(type.getKeys().size());
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

/// All batches of a file, in the order of the model's arguments.
static Expected<FileBatches> readBatches(const TensorFile &file,
                                         const ModelIR &ir) {
  FileBatches batches;
  for (auto [index, type] : llvm::enumerate(ir.getBatchTypes())) {
    Expected<Inputs> inputs = readInputs(file, index);
    if (!inputs)
      return inputs.takeError();
    Expected<int64_t> size =
        getBatchSize(file, *inputs, int64_t(type.getKeys().size()));
    if (!size)
      return size.takeError();
    if (index && *size != batches.size)
      return createStringError(file.getPath() +
                               ": expected batches of one size, got " +
                               Twine(batches.size) + " samples, and " +
                               Twine(*size) + " of batch " + Twine(index));
    batches.size = *size;
    batches.args.push_back(makeBatch(*inputs, type));
    batches.inputs.push_back(std::move(*inputs));
  }
  return batches;
}

Error mlir::trec::runFile(const ModelLibrary &library,
                          const RunOptions &options) {
  Expected<TensorFile> file = TensorFile::open(options.inputs);
  if (!file)
    return file.takeError();
  Expected<ModelIR> ir = ModelIR::parse(library);
  if (!ir)
    return ir.takeError();
  Expected<FileBatches> batches = readBatches(*file, *ir);
  if (!batches)
    return batches.takeError();
  Expected<Model> model = createWithAnyWeights(library, *ir, options);
  if (!model)
    return model.takeError();

  const OutputLayout &layout = ir->getOutputLayout();
  // Only a model of one batch has outputs that depend on its ids.
  BagLengths bags(batches->inputs.front(), ir->getBatchTypes().front(),
                  batches->size);
  OutputBuffers outputs(layout, batches->size, bags.countIds());
  trec_forward_args args{};
  args.size = sizeof(args);
  args.batch_size = batches->size;
  setBatches(args, batches->args);
  outputs.attach(args);
  trec_error error;
  if (model->forward(args, error) != TREC_OK)
    return createStringError(options.inputs + ": " + error.message);
  if (layout.isKeyed())
    return writeKeyed(layout, outputs[0], batches->size, options.outputs);
  return layout.isPooled()
             ? writeGroups(layout, outputs, batches->size, options.outputs)
             : writeUnpooled(layout, outputs, bags, options.outputs);
}
