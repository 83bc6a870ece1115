//===- StateDict.cpp - Weights out of a module's state dict ---------------===//

#include "trec/Import/StateDict.h"

#include "TorchFile.h"
#include "trec/Import/JsonFields.h"
#include "trec/Import/WeightsFile.h"
#include "trec/Import/ZipFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using namespace llvm;

static Expected<std::unique_ptr<MemoryBuffer>> mapFile(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError(
        path + ": cannot be read: " + buffer.getError().message());
  return std::move(*buffer);
}

/// The qualified name of the collection that a tensor is a table's weights of;
/// nothing for other tensors.
static std::optional<StringRef> getCollection(StringRef name, StringRef table) {
  if (!name.consume_back(".weight") || !name.consume_back(table) ||
      !(name.consume_back("embedding_bags.") ||
        name.consume_back("embeddings.")))
    return std::nullopt;
  if (name.empty() || name.consume_back("."))
    return name;
  return std::nullopt;
}

static bool isWeightOf(StringRef name, StringRef table) {
  return getCollection(name, table).has_value();
}

/// The qualified name of the collection whose feature processor has a tensor
/// that is this parameter; nothing for other tensors.
static std::optional<StringRef> getProcessedCollection(StringRef name,
                                                       StringRef parameter) {
  StringRef feature = parameter;
  bool isModule = feature.consume_front("position_weights.") &&
                  name.consume_back(".position_weight");
  if (!name.consume_back(isModule ? feature : parameter) ||
      (!name.empty() && !name.consume_back(".")))
    return std::nullopt;
  for (StringRef part : {"_feature_processors", "feature_processor"})
    if (name.consume_back(part))
      name.consume_back(".");
  return name;
}

bool StateDict::isStateDict(StringRef path, ModuleOp module) {
  auto buffer = mapFile(path);
  if (!buffer) {
    consumeError(buffer.takeError());
    return false;
  }
  if (isZip((*buffer)->getBuffer()))
    return true;
  Expected<TensorFile> file = TensorFile::open(path);
  if (!file) {
    consumeError(file.takeError());
    return false;
  }
  return any_of(module.getOps<TableOp>(), [&](TableOp table) {
    return !file->find(table.getSymName()) &&
           any_of(file->getTensors(), [&](const Tensor &tensor) {
             return isWeightOf(tensor.name, table.getSymName());
           });
  });
}

Error StateDict::readTensorFile() {
  Expected<TensorFile> opened = TensorFile::open(path);
  if (!opened)
    return opened.takeError();
  file.emplace(std::move(*opened));
  for (const Tensor &tensor : file->getTensors()) {
    SmallVector<int64_t, 2> strides(tensor.shape.size(), 1);
    for (size_t i = strides.size(); i-- > 1;)
      strides[i - 1] = strides[i] * tensor.shape[i];
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape, strides,
                       tensor.bytes.data()});
  }
  return Error::success();
}

Expected<StateDict> StateDict::open(StringRef path) {
  StateDict dict;
  dict.path = path.str();
  auto buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  if (!isZip((*buffer)->getBuffer())) {
    if (Error error = dict.readTensorFile())
      return error;
    return dict;
  }
  dict.archive = std::move(*buffer);
  auto tensors = readTorchFile(dict.archive->getBuffer());
  if (!tensors)
    return createStringError(path + ": " + toString(tensors.takeError()));
  dict.tensors = std::move(*tensors);
  return dict;
}

const StridedTensor *StateDict::find(StringRef name) const {
  const auto *found = find_if(ArrayRef(tensors), [&](const auto &tensor) {
    return tensor.name == name;
  });
  return found == ArrayRef(tensors).end() ? nullptr : found;
}

/// The tensor named as the table or parameter, or as the one of a collection.
/// Where several collections have one, the collection named as the model
/// counts.
Expected<const StridedTensor *> StateDict::findSymbol(Operation *symbol,
                                                      StringRef module) const {
  bool isTable = isa<TableOp>(symbol);
  StringRef name = SymbolTable::getSymbolName(symbol).getValue();
  if (const StridedTensor *tensor = find(name))
    return tensor;
  std::string what = (isTable ? "table " : "parameter ") + quote(name);
  SmallVector<const StridedTensor *> found, named;
  for (const StridedTensor &tensor : tensors) {
    auto prefix = isTable ? getCollection(tensor.name, name)
                          : getProcessedCollection(tensor.name, name);
    if (!prefix)
      continue;
    found.push_back(&tensor);
    if (*prefix == module || prefix->ends_with(("." + module).str()))
      named.push_back(&tensor);
  }
  if (found.size() > 1 && named.size() == 1)
    return named.front();
  if (found.size() == 1)
    return found.front();
  if (found.empty())
    return createStringError(
        path + ": no tensor for " + what + " among its " +
        Twine(tensors.size()) + " tensors; expected one named " + quote(name) +
        (isTable ? " or " + quote(("embedding_bags." + name + ".weight").str())
                 : std::string()));
  return createStringError(path + ": " + what + ": expected one tensor, got " +
                           quote(found[0]->name) + " and " +
                           quote(found[1]->name) +
                           "; name the model as its collection");
}

static std::string show(const StridedTensor &tensor) {
  return tensor.dtype + " [" +
         join(
             map_range(tensor.shape, [](int64_t size) { return itostr(size); }),
             ", ") +
         "]";
}

/// Whether elements lie one after the other in the order of their indices.
static bool isDense(const StridedTensor &tensor) {
  int64_t expected = 1;
  for (auto [size, stride] : reverse(zip_equal(tensor.shape, tensor.strides))) {
    if (size != 1 && stride != expected)
      return false;
    expected *= size;
  }
  return true;
}

/// A matrix whose rows are each in one piece and do not overlap.
static bool isMatrix(const StridedTensor &tensor, StringRef dtype,
                     int64_t columns) {
  return tensor.dtype == dtype && tensor.shape.size() == 2 &&
         tensor.shape[1] == columns &&
         (tensor.strides[1] == 1 || columns <= 1) &&
         (tensor.strides[0] >= columns || tensor.shape[0] <= 1);
}

namespace {

/// How the rows of a table are put together.
struct RowParts {
  const StridedTensor *codes = nullptr;
  /// Null where the rows are in one piece, or have no header.
  const StridedTensor *scale = nullptr, *bias = nullptr;
  int64_t elementBytes = 1;
  int64_t codeBytes = 0;
};

} // namespace

static void copyRows(const RowParts &parts, int64_t rowBytes, char *rows) {
  for (int64_t row = 0; row < parts.codes->shape[0]; ++row) {
    char *to = rows + row * rowBytes;
    for (const StridedTensor *half : {parts.scale, parts.bias}) {
      if (!half)
        continue;
      std::memcpy(to, half->data + row * half->strides[0] * 2, 2);
      to += 2;
    }
    std::memcpy(to,
                parts.codes->data +
                    row * parts.codes->strides[0] * parts.elementBytes,
                parts.codeBytes);
  }
}

/// Says how the tensors of a table make rows; nothing where they do not.
static std::optional<RowParts> matchParts(RowType type, RowParts parts) {
  parts.elementBytes = type.isQuantized() ? 1 : type.getBits() / 8;
  StringRef dtype = parts.elementBytes == 4 ? "F32" : "F16";
  if (!parts.scale != !parts.bias || (parts.scale && !type.isQuantized()))
    return std::nullopt;
  parts.codeBytes = type.getDataBytes();
  if (!type.isQuantized() && isMatrix(*parts.codes, dtype, type.getDim()))
    return parts;
  parts.elementBytes = 1;
  if (!parts.scale && isMatrix(*parts.codes, "U8", type.getRowBytes())) {
    parts.codeBytes = type.getRowBytes();
    return parts;
  }
  if (!isMatrix(*parts.codes, "U8", parts.codeBytes) ||
      type.isQuantized() != bool(parts.scale))
    return std::nullopt;
  for (const StridedTensor *half : {parts.scale, parts.bias})
    if (half &&
        (!isMatrix(*half, "F16", 1) || half->shape[0] != parts.codes->shape[0]))
      return std::nullopt;
  return parts;
}

Expected<Tensor> StateDict::findRows(TableOp table, StringRef module) {
  StringRef name = table.getSymName();
  Expected<const StridedTensor *> weight = findSymbol(table, module);
  if (!weight)
    return weight.takeError();
  RowParts parts;
  parts.codes = *weight;
  parts.scale = find((*weight)->name + "_qscale");
  parts.bias = find((*weight)->name + "_qbias");
  TableType type = table.getType();
  std::optional<RowParts> matched = matchParts(type.getRowType(), parts);
  int64_t rows = parts.codes->shape.empty() ? 0 : parts.codes->shape[0];
  if (!matched || (!type.hasDynamicRows() && type.getRows() != rows))
    return createStringError(
        path + ": table " + quote(name) + ": expected " +
        (type.hasDynamicRows() ? "rows" : itostr(type.getRows()) + " rows") +
        " of " + Twine(type.getRowType().getRowBytes()) +
        " bytes (U8), or their values with weight_qscale and weight_qbias, "
        "got " +
        quote(parts.codes->name) + " of " + show(*parts.codes) +
        (parts.scale ? " with a scale of " + show(*parts.scale) : ""));
  int64_t rowBytes = type.getRowType().getRowBytes();
  Tensor result{name.str(), "U8", {rows, rowBytes}, {}};
  bool isReady = matched->codeBytes == rowBytes &&
                 (parts.codes->strides[0] * matched->elementBytes == rowBytes ||
                  rows <= 1);
  if (isReady) {
    result.bytes = ArrayRef(parts.codes->data, size_t(rows * rowBytes));
    return result;
  }
  auto buffer = WritableMemoryBuffer::getNewMemBuffer(rows * rowBytes);
  if (!buffer)
    return createStringError(path + ": table " + quote(name) + ": its " +
                             Twine(rows * rowBytes) +
                             " bytes do not fit into memory");
  copyRows(*matched, rowBytes, buffer->getBufferStart());
  result.bytes =
      ArrayRef(reinterpret_cast<const uint8_t *>(buffer->getBufferStart()),
               size_t(rows * rowBytes));
  assembled.push_back(std::move(buffer));
  return result;
}

Expected<Tensor> StateDict::findParameter(ParameterOp parameter,
                                          StringRef module) const {
  Expected<const StridedTensor *> found = findSymbol(parameter, module);
  if (!found)
    return found.takeError();
  const StridedTensor &tensor = **found;
  if (!isParameter(parameter, tensor.dtype, tensor.shape) || !isDense(tensor))
    return createStringError(
        path + ": parameter " + quote(parameter.getSymName()) + ": expected " +
        describeParameter(parameter) + " in one piece, got " +
        quote(tensor.name) + " of " + show(tensor));
  int64_t bytes = tensor.dtype == "I64" ? 8 : 4;
  for (int64_t size : tensor.shape)
    bytes *= size;
  return Tensor{parameter.getSymName().str(), tensor.dtype, tensor.shape,
                ArrayRef(tensor.data, size_t(bytes))};
}

Expected<std::vector<Tensor>> StateDict::findTensors(ModuleOp module) {
  std::vector<Tensor> found;
  StringRef name = module.getSymName().value_or("");
  for (auto table : module.getOps<TableOp>()) {
    Expected<Tensor> tensor = findRows(table, name);
    if (!tensor)
      return tensor.takeError();
    found.push_back(std::move(*tensor));
  }
  for (auto parameter : module.getOps<ParameterOp>()) {
    Expected<Tensor> tensor = findParameter(parameter, name);
    if (!tensor)
      return tensor.takeError();
    found.push_back(std::move(*tensor));
  }
  return found;
}
