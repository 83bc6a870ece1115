//===- Safetensors.cpp - Files of named tensors ---------------------------===//

#include "trec/Import/Safetensors.h"

#include "trec/Import/AtomicFile.h"
#include "trec/Import/JsonFields.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace mlir::trec;

static constexpr uint64_t lengthBytes = 8;
/// The format's own limit.
static constexpr uint64_t maxHeaderBytes = 100000000;
static constexpr uint64_t dataAlignment = 64;

static std::optional<int64_t> getElementBytes(StringRef dtype) {
  return StringSwitch<std::optional<int64_t>>(dtype)
      .Cases({"U8", "I8", "BOOL"}, 1)
      .Cases({"F16", "BF16", "U16", "I16"}, 2)
      .Cases({"F32", "U32", "I32"}, 4)
      .Cases({"F64", "U64", "I64"}, 8)
      .Default(std::nullopt);
}

/// Reads `[1, 2]`; nothing where it is no array of integers from 0 on.
static std::optional<SmallVector<int64_t, 2>>
readSizes(const json::Object &object, StringRef field) {
  const json::Array *array = object.getArray(field);
  if (!array)
    return std::nullopt;
  SmallVector<int64_t, 2> sizes;
  for (const json::Value &value : *array) {
    std::optional<int64_t> size = value.getAsInteger();
    if (!size || *size < 0)
      return std::nullopt;
    sizes.push_back(*size);
  }
  return sizes;
}

/// Bytes of a tensor of this shape; nothing where they overflow.
static std::optional<int64_t> countBytes(ArrayRef<int64_t> shape,
                                         int64_t elementBytes) {
  std::optional<int64_t> bytes = elementBytes;
  for (int64_t size : shape)
    if (bytes)
      bytes = checkedMul(*bytes, size);
  return bytes;
}

static Expected<Tensor> readTensor(StringRef name, const json::Value &value,
                                   ArrayRef<uint8_t> data) {
  const json::Object *object = value.getAsObject();
  auto dtype = object ? object->getString("dtype") : std::nullopt;
  auto shape = object ? readSizes(*object, "shape") : std::nullopt;
  auto offsets = object ? readSizes(*object, "data_offsets") : std::nullopt;
  if (!dtype || !shape || !offsets || offsets->size() != 2 ||
      (*offsets)[0] > (*offsets)[1])
    return createStringError("tensor " + quote(name) +
                             ": expected a dtype, a shape and data_offsets");
  int64_t begin = (*offsets)[0], end = (*offsets)[1];
  if (uint64_t(end) > data.size())
    return createStringError(
        "truncated: tensor " + quote(name) + " ends at byte " + Twine(end) +
        " of the data, but there are only " + Twine(data.size()));
  std::optional<int64_t> elementBytes = getElementBytes(*dtype);
  if (elementBytes && countBytes(*shape, *elementBytes) != end - begin)
    return createStringError(
        "tensor " + quote(name) + ": " + Twine(end - begin) +
        " bytes do not fit shape [" +
        join(map_range(*shape, [](int64_t size) { return itostr(size); }),
             ", ") +
        "] of " + *dtype);
  return Tensor{name.str(), dtype->str(), *shape,
                data.slice(begin, end - begin)};
}

/// Finds the header's text, or says why this is no such file.
static Expected<StringRef> sliceHeader(StringRef text) {
  if (text.size() < lengthBytes)
    return createStringError("not a safetensors file: " + Twine(text.size()) +
                             " bytes, expected 8 or more");
  uint64_t length = support::endian::read64le(text.data());
  if (length > maxHeaderBytes)
    return createStringError("not a safetensors file: header of " +
                             Twine(length) + " bytes, expected at most " +
                             Twine(maxHeaderBytes));
  if (length > text.size() - lengthBytes)
    return createStringError(
        "truncated: header ends at byte " + Twine(length + lengthBytes) +
        ", but there are only " + Twine(text.size()) + " bytes");
  return text.substr(lengthBytes, length);
}

Error TensorFile::readHeader() {
  Expected<StringRef> header = sliceHeader(getText());
  if (!header)
    return header.takeError();
  Expected<json::Value> document = json::parse(*header);
  if (!document)
    return createStringError("not a safetensors file: header is not JSON: " +
                             toString(document.takeError()));
  const json::Object *root = document->getAsObject();
  if (!root)
    return createStringError(
        "not a safetensors file: header is not a JSON object");
  ArrayRef<uint8_t> data =
      arrayRefFromStringRef(getText()).drop_front(lengthBytes + header->size());
  for (const auto &[name, value] : *root) {
    if (StringRef(name) == "__metadata__")
      continue;
    Expected<Tensor> tensor = readTensor(name, value, data);
    if (!tensor)
      return tensor.takeError();
    tensors.push_back(std::move(*tensor));
  }
  // JSON objects have no order; names do, on every machine.
  llvm::sort(tensors,
             [](const Tensor &a, const Tensor &b) { return a.name < b.name; });
  for (const auto &[index, tensor] : enumerate(tensors))
    indices[tensor.name] = index;
  return Error::success();
}

Expected<TensorFile> TensorFile::open(StringRef path) {
  // No terminator, or a file of whole pages would be read instead of mapped.
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError(
        path + ": cannot be read: " + buffer.getError().message());
  TensorFile file;
  file.path = path.str();
  file.buffer = std::move(*buffer);
  if (Error error = file.readHeader())
    return createStringError(path + ": " + toString(std::move(error)));
  return file;
}

const Tensor *TensorFile::find(StringRef name) const {
  auto found = indices.find(name);
  return found == indices.end() ? nullptr : &tensors[found->second];
}

void mlir::trec::sortForLayout(std::vector<Tensor> &tensors) {
  auto alignment = [](const Tensor &tensor) -> uint64_t {
    // A size of 0 disturbs nobody's alignment.
    return MinAlign(tensor.bytes.size(), dataAlignment);
  };
  llvm::stable_sort(tensors, [&](const Tensor &a, const Tensor &b) {
    return alignment(a) > alignment(b);
  });
}

/// A JSON string with no more escapes than JSON demands.
static std::string escape(StringRef text) {
  std::string result = "\"";
  for (char c : text) {
    size_t special = StringRef("\"\\\n\r\t\b\f").find(c);
    if (special != StringRef::npos)
      result += {'\\', "\"\\nrtbf"[special]};
    else if (uint8_t(c) < 0x20)
      result += "\\u00" + utohexstr(c, /*LowerCase=*/true, /*Width=*/2);
    else
      result += c;
  }
  return result + '"';
}

std::string mlir::trec::formatHeader(ArrayRef<Tensor> tensors) {
  std::string json;
  raw_string_ostream os(json);
  uint64_t offset = 0;
  for (const Tensor &tensor : tensors) {
    os << (&tensor == tensors.begin() ? "{" : ",") << escape(tensor.name)
       << ":{\"dtype\":\"" << tensor.dtype << "\",\"shape\":[";
    interleave(tensor.shape, os, ",");
    os << "],\"data_offsets\":[" << offset << ','
       << offset + tensor.bytes.size() << "]}";
    offset += tensor.bytes.size();
  }
  os << (tensors.empty() ? "{}" : "}");
  json.resize(alignTo(lengthBytes + json.size(), dataAlignment) - lengthBytes,
              ' ');
  char length[lengthBytes];
  support::endian::write64le(length, json.size());
  return std::string(length, lengthBytes) + json;
}

Error mlir::trec::writeTensorFile(StringRef path, std::vector<Tensor> tensors) {
  sortForLayout(tensors);
  return writeFileAtomically(path, [&](raw_ostream &os) {
    os << formatHeader(tensors);
    for (const Tensor &tensor : tensors)
      os << toStringRef(tensor.bytes);
  });
}
