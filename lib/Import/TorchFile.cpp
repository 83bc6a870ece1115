//===- TorchFile.cpp - Tensors that torch.save wrote ----------------------===//

#include "TorchFile.h"

#include "PickleReader.h"
#include "trec/Import/JsonFields.h"
#include "trec/Import/ZipFile.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace llvm;
using namespace mlir::trec;
using Kind = PickleValue::Kind;

/// Dicts within dicts: a checkpoint has few levels, a hostile one may be
/// endless.
static constexpr unsigned maxDepth = 16;

namespace {

class TorchReader {
public:
  explicit TorchReader(const StringMap<StringRef> &records, StringRef folder)
      : records(records), folder(folder) {}

  Error readDict(const PickleValue &dict, const std::string &prefix,
                 unsigned depth);
  std::vector<StridedTensor> tensors;

private:
  Error readTensor(const PickleValue &call, const std::string &name);

  const StringMap<StringRef> &records;
  StringRef folder;
  DenseSet<const PickleValue *> visited;
};

} // namespace

static bool isDict(const PickleValue &value) {
  return value.kind == Kind::dict || value.isCall("collections.OrderedDict");
}

/// The bytes of an element and its name in safetensors; for types that no
/// table and no parameter has, nothing.
static std::pair<int64_t, StringRef> getElement(StringRef storage) {
  return StringSwitch<std::pair<int64_t, StringRef>>(storage)
      .Case("torch.ByteStorage", {1, "U8"})
      .Case("torch.HalfStorage", {2, "F16"})
      .Case("torch.BFloat16Storage", {2, "BF16"})
      .Case("torch.FloatStorage", {4, "F32"})
      .Case("torch.IntStorage", {4, "I32"})
      .Case("torch.LongStorage", {8, "I64"})
      .Default({0, ""});
}

/// The call that makes the plain tensor inside of a parameter or of one of
/// TorchRec's types for packed integers, or null.
static const PickleValue *findPlainTensor(const PickleValue *value) {
  if (value->isCall("torch._utils._rebuild_parameter") &&
      !value->getArguments().empty())
    value = value->getArguments()[0];
  if (value->isCall("torch._tensor._rebuild_from_type_v2") &&
      value->getArguments().size() == 4) {
    ArrayRef<const PickleValue *> arguments = value->getArguments();
    if (arguments[1]->isGlobal("torchrec.tensor_types.UInt4Tensor") ||
        arguments[1]->isGlobal("torchrec.tensor_types.UInt2Tensor"))
      for (auto [key, state] : arguments[3]->entries)
        if (key->kind == Kind::string && key->text == "elem")
          value = state;
  }
  return value->isCall("torch._utils._rebuild_tensor_v2") ? value : nullptr;
}

static std::optional<SmallVector<int64_t, 2>>
readSizes(const PickleValue &value) {
  SmallVector<int64_t, 2> sizes;
  for (const PickleValue *item : value.items) {
    if (item->kind != Kind::integer || item->integer < 0)
      return std::nullopt;
    sizes.push_back(item->integer);
  }
  return value.kind == Kind::tuple ? std::optional(sizes) : std::nullopt;
}

/// The index after the last element, or nothing where it overflows.
static std::optional<int64_t> findEnd(const StridedTensor &tensor,
                                      int64_t offset) {
  if (is_contained(tensor.shape, 0))
    return offset;
  std::optional<int64_t> last = offset;
  for (auto [size, stride] : zip_equal(tensor.shape, tensor.strides)) {
    std::optional<int64_t> span = checkedMul(size - 1, stride);
    last = last && span ? checkedAdd(*last, *span) : std::nullopt;
  }
  return last ? checkedAdd(*last, int64_t(1)) : std::nullopt;
}

Error TorchReader::readTensor(const PickleValue &call,
                              const std::string &name) {
  auto unexpected = [&] {
    return createStringError("tensor " + quote(name) +
                             ": its pickle is not as torch.save writes it");
  };
  ArrayRef<const PickleValue *> arguments = call.getArguments();
  if (arguments.size() < 4 || arguments[0]->kind != Kind::persistent ||
      arguments[0]->items[0]->items.size() != 5 ||
      arguments[1]->kind != Kind::integer || arguments[1]->integer < 0)
    return unexpected();
  const PickleValue &storage = *arguments[0]->items[0];
  auto [elementBytes, dtype] = getElement(storage.items[1]->text);
  if (!elementBytes)
    return Error::success();
  auto shape = readSizes(*arguments[2]), strides = readSizes(*arguments[3]);
  if (!shape || !strides || shape->size() != strides->size())
    return unexpected();
  StridedTensor tensor{name, dtype.str(), *shape, *strides, nullptr};
  StringRef bytes =
      records.lookup((folder + "data/" + storage.items[2]->text).str());
  std::optional<int64_t> end = findEnd(tensor, arguments[1]->integer);
  if (!end || *end > int64_t(bytes.size()) / elementBytes)
    return createStringError("tensor " + quote(name) +
                             " ends outside of its "
                             "record of " +
                             Twine(bytes.size()) + " bytes");
  tensor.data = reinterpret_cast<const uint8_t *>(bytes.data()) +
                arguments[1]->integer * elementBytes;
  tensors.push_back(std::move(tensor));
  return Error::success();
}

Error TorchReader::readDict(const PickleValue &dict, const std::string &prefix,
                            unsigned depth) {
  if (depth == maxDepth)
    return createStringError("expected a dict of tensors, got dicts of more "
                             "than " +
                             Twine(maxDepth) + " levels");
  // A dict that refers to itself has nothing new.
  if (!visited.insert(&dict).second)
    return Error::success();
  for (auto [key, value] : dict.entries) {
    if (key->kind != Kind::string)
      continue;
    std::string name = prefix + key->text.str();
    const PickleValue *tensor = findPlainTensor(value);
    if (Error error = tensor           ? readTensor(*tensor, name)
                      : isDict(*value) ? readDict(*value, name + ".", depth + 1)
                                       : Error::success())
      return error;
  }
  return Error::success();
}

/// The folder that all records are in, and `data.pkl` with them.
static Expected<StringRef> findFolder(const StringMap<StringRef> &records) {
  for (const auto &record : records) {
    StringRef folder = record.getKey();
    if (folder.consume_back("constants.pkl"))
      return createStringError("expected a state dict, got a TorchScript "
                               "archive; import it with trec-import-torch");
  }
  for (const auto &record : records) {
    StringRef folder = record.getKey();
    if (folder.consume_back("data.pkl") && folder.count('/') <= 1)
      return folder;
  }
  return createStringError("expected a state dict as torch.save writes it, got "
                           "a zip archive without an uncompressed data.pkl");
}

Expected<std::vector<StridedTensor>> mlir::trec::readTorchFile(StringRef file) {
  Expected<StringMap<StringRef>> records = readZip(file);
  if (!records)
    return records.takeError();
  Expected<StringRef> folder = findFolder(*records);
  if (!folder)
    return folder.takeError();
  StringRef order = records->lookup((*folder + "byteorder").str());
  if (!order.empty() && order != "little")
    return createStringError("expected tensors of little-endian bytes, got " +
                             quote(order));
  Pickle pickle;
  Expected<const PickleValue *> value =
      pickle.read(records->lookup((*folder + "data.pkl").str()));
  if (!value)
    return value.takeError();
  if (!isDict(**value))
    return createStringError("expected a dict of tensors, as torch.save("
                             "module.state_dict(), …) writes it, got another "
                             "object, which is never made");
  TorchReader reader(*records, *folder);
  if (Error error = reader.readDict(**value, "", 0))
    return error;
  return std::move(reader.tensors);
}
