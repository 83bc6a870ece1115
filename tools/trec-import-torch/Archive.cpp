//===- Archive.cpp - TorchScript archives, loaded without running ---------===//

#include "Archive.h"

#include <ATen/MapAllocator.h>
#include <c10/util/safe_numerics.h>
#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/serialization/import_source.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unordered_map>

using namespace mlir::trec;
using caffe2::serialize::PyTorchStreamReader;
using torch::jit::SourceImporter;

static const char expected[] =
    "expected a TorchScript archive as torch.jit.save writes it";
static const char remedy[] =
    "; trace the module with torchrec.fx.symbolic_trace, script it with "
    "torch.jit.script and save it with torch.jit.save, or use trec.export";

/// LibTorch's messages go on with code and with a trace of its own stack.
static std::string firstLine(std::string text) {
  text.erase(0, text.find_first_not_of('\n'));
  return text.substr(0, text.find('\n'));
}

/// Tells what a file is by its first bytes, so that the usual mistakes get
/// their own answer.
static void checkMagic(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  if (!file || !file.read(magic, 1))
    throw ReadError(std::string("cannot be read, or is empty; ") + expected);
  file.read(magic + 1, 3);
  if (magic[0] == 'P' && magic[1] == 'K')
    return;
  // The first opcode of every pickle since protocol 2.
  if (magic[0] == '\x80')
    throw ReadError(std::string(expected) +
                    ", got a pickle, which is never run" + remedy);
  throw ReadError(std::string(expected) +
                  ", got a file that is no zip archive");
}

static bool hasRecordUnder(PyTorchStreamReader &reader, const char *prefix) {
  std::vector<std::string> records = reader.getAllRecords();
  return std::any_of(records.begin(), records.end(), [&](const auto &record) {
    return record.rfind(prefix, 0) == 0;
  });
}

/// The version of a TorchScript archive; refuses the other formats that come as
/// a zip archive with this extension.
static size_t checkKind(PyTorchStreamReader &reader) {
  if (reader.hasRecord("constants.pkl") && reader.hasRecord("data.pkl"))
    return reader.version();
  std::string got = "a zip archive without its records";
  if (reader.hasRecord("model.json"))
    got = "one of before PyTorch 1.4";
  else if (hasRecordUnder(reader, ".data/extern_modules"))
    got = "an archive of torch.package, whose pickles are never run";
  else if (reader.hasRecord("data.pkl"))
    got = "one of torch.save, whose pickles are never run";
  throw ReadError(std::string(expected) + ", got " + got + remedy);
}

namespace {

/// The bytes of an archive, and what keeps them.
class ArchiveBytes : public caffe2::serialize::ReadAdapterInterface {
public:
  ArchiveBytes(std::shared_ptr<void> owner, const char *begin, size_t bytes)
      : owner(std::move(owner)), begin(begin), bytes(bytes) {}

  size_t size() const override { return bytes; }
  size_t read(uint64_t pos, void *buffer, size_t count,
              const char *what) const override;
  const char *data() const { return begin; }

private:
  std::shared_ptr<void> owner;
  const char *begin;
  size_t bytes;
};

class Loader {
public:
  explicit Loader(std::shared_ptr<ArchiveBytes> bytes)
      : unit(std::make_shared<torch::jit::CompilationUnit>()),
        file(std::move(bytes)), reader(file),
        importer(
            unit, &constants,
            [this](const std::string &name) { return readSource(name); },
            checkKind(reader)) {}

  Archive load();

private:
  std::shared_ptr<torch::jit::Source> readSource(const std::string &name);
  c10::IValue readPickle(const std::string &name);
  bool canMap(const std::string &name);
  at::DataPtr readTensorRecord(const std::string &name);
  void checkTensor(const at::Tensor &tensor, const std::string &name) const;
  void checkTensors(const c10::IValue &value, const std::string &name) const;
  void checkAttributes(const c10::ivalue::Object &object,
                       const std::string &path) const;

  std::shared_ptr<torch::jit::CompilationUnit> unit;
  std::shared_ptr<ArchiveBytes> file;
  PyTorchStreamReader reader;
  std::vector<c10::IValue> constants;
  SourceImporter importer;
  /// Bytes that the archive has for each storage. LibTorch takes the word of
  /// the pickle for it.
  std::unordered_map<const void *, uint64_t> recordSizes;
};

} // namespace

/// Null where the archive has no such file: the importer knows other places.
std::shared_ptr<torch::jit::Source>
Loader::readSource(const std::string &name) {
  std::string path = "code/" + name + ".py";
  std::replace(path.begin(), path.end() - 3, '.', '/');
  if (!reader.hasRecord(path))
    return nullptr;
  auto [data, size] = reader.getRecord(path);
  return std::make_shared<torch::jit::Source>(
      std::string(static_cast<const char *>(data.get()), size), path, 1);
}

/// Classes that are written in C++. LibTorch makes them from their state.
static bool isCustomClass(const c10::ClassType &type) {
  return type.name()->qualifiedName().rfind("__torch__.torch.classes.", 0) == 0;
}

/// An object of the archive with its attributes set as they were stored. One of
/// a class in C++ has its state instead.
static c10::intrusive_ptr<c10::ivalue::Object>
makeObject(const c10::StrongTypePtr &type, const c10::IValue &state) {
  auto cls = type.type_->expect<c10::ClassType>();
  auto object = c10::ivalue::Object::create(type, cls->numAttributes());
  if (isCustomClass(*cls)) {
    object->setSlot(0, state);
    return object;
  }
  // Its state is an argument for code that is not to run.
  if (cls->findMethod("__setstate__") || !state.isGenericDict())
    return object;
  auto attributes = state.toGenericDict();
  for (size_t slot = 0; slot < cls->numAttributes(); ++slot)
    object->setSlot(slot, attributes.at(cls->getAttributeName(slot)));
  return object;
}

size_t ArchiveBytes::read(uint64_t pos, void *buffer, size_t count,
                          const char *) const {
  count = pos > bytes ? 0 : std::min<size_t>(count, bytes - pos);
  std::memcpy(buffer, data() + pos, count);
  return count;
}

/// Whether a record can be used as it lies in the file: not compressed, and
/// aligned for any element. The method of compression is the
/// fifth field of the header in front of it (APPNOTE 6.3.3, section 4.3.7).
bool Loader::canMap(const std::string &name) {
  uint16_t method = 1;
  file->read(reader.getRecordHeaderOffset(name) + 8, &method, sizeof method,
             "method");
  size_t offset = reader.getRecordOffset(name);
  auto address = reinterpret_cast<uintptr_t>(file->data()) + offset;
  return method == 0 && address % alignof(std::max_align_t) == 0 &&
         offset <= file->size() &&
         reader.getRecordSize(name) <= file->size() - offset;
}

at::DataPtr Loader::readTensorRecord(const std::string &name) {
  if (!canMap(name)) {
    auto [data, size] = reader.getRecord(name);
    recordSizes[data.get()] = size;
    return std::move(data);
  }
  // The tensor keeps the file open.
  auto *owner = new std::shared_ptr<ArchiveBytes>(file);
  void *data = const_cast<char *>(file->data()) + reader.getRecordOffset(name);
  recordSizes[data] = reader.getRecordSize(name);
  return at::DataPtr(
      data, owner,
      [](void *context) {
        delete static_cast<std::shared_ptr<ArchiveBytes> *>(context);
      },
      c10::kCPU);
}

c10::IValue Loader::readPickle(const std::string &name) {
  auto [pickle, size] = reader.getRecord(name + ".pkl");
  const char *next = static_cast<const char *>(pickle.get());
  const char *end = next + size;
  auto readBytes = [&](char *buffer, size_t count) {
    count = std::min(count, size_t(end - next));
    std::memcpy(buffer, next, count);
    next += count;
    return count;
  };
  auto resolveType = [this](const c10::QualifiedName &type) {
    return c10::StrongTypePtr(unit, importer.loadType(type));
  };
  auto readRecord = [&](const std::string &record) {
    return readTensorRecord(name + "/" + record);
  };
  torch::jit::Unpickler unpickler(readBytes, resolveType, makeObject,
                                  readRecord, c10::Device(c10::kCPU));
  unpickler.set_version(reader.version());
  return unpickler.parse_ivalue();
}

/// The bytes of a storage that a tensor reaches into; nothing where its sizes
/// are not to be believed.
static std::optional<uint64_t> countBytes(const at::Tensor &tensor) {
  if (tensor.storage_offset() < 0)
    return std::nullopt;
  uint64_t elements = uint64_t(tensor.storage_offset()) + 1, bytes = 0;
  bool isWrong = false;
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    uint64_t span = 0;
    isWrong |= tensor.size(dim) < 0 || tensor.stride(dim) < 0 ||
               c10::mul_overflows(uint64_t(tensor.size(dim) - 1),
                                  uint64_t(tensor.stride(dim)), &span) ||
               c10::add_overflows(elements, span, &elements);
  }
  isWrong |=
      c10::mul_overflows(elements, uint64_t(tensor.element_size()), &bytes);
  return isWrong ? std::nullopt : std::optional(bytes);
}

void Loader::checkTensor(const at::Tensor &tensor,
                         const std::string &name) const {
  if (!tensor.defined() || !tensor.has_storage() || tensor.numel() == 0)
    return;
  auto record = recordSizes.find(tensor.storage().data());
  uint64_t available = record == recordSizes.end() ? 0 : record->second;
  std::optional<uint64_t> needed = countBytes(tensor);
  if (!needed || *needed > available)
    throw ReadError("is damaged: tensor '" + name + "': expected " +
                    (needed ? std::to_string(*needed) + " bytes"
                            : "sizes and strides of a tensor") +
                    ", got " + std::to_string(available) + " bytes");
}

/// Also those within lists, tuples and dicts.
void Loader::checkTensors(const c10::IValue &value,
                          const std::string &name) const {
  value.visit([&](const c10::IValue &part) {
    if (part.isTensor())
      checkTensor(part.toTensor(), name);
    return false;
  });
}

/// Of a module those of its own: modules within it are visited apart.
void Loader::checkAttributes(const c10::ivalue::Object &object,
                             const std::string &path) const {
  for (size_t slot = 0; slot < object.type()->numAttributes(); ++slot)
    if (!object.type()->getAttribute(slot)->is_module())
      checkTensors(object.getSlot(slot),
                   (path.empty() ? "" : path + ".") +
                       object.type()->getAttributeName(slot));
}

void mlir::trec::walkModules(
    const torch::jit::Module &module, const std::string &path,
    const std::function<void(const torch::jit::Module &, const std::string &)>
        &visit) {
  visit(module, path);
  auto object = module._ivalue();
  for (size_t slot = 0; slot < object->type()->numAttributes(); ++slot)
    if (object->type()->getAttribute(slot)->is_module() &&
        object->getSlot(slot).isObject())
      walkModules(torch::jit::Module(object->getSlot(slot).toObject()),
                  (path.empty() ? "" : path + ".") +
                      object->type()->getAttributeName(slot),
                  visit);
}

Archive Loader::load() {
  c10::IValue table = readPickle("constants");
  if (!table.isTuple())
    throw ReadError(std::string(expected) +
                    ", got constants.pkl without a tuple");
  for (const c10::IValue &constant : table.toTupleRef().elements()) {
    constants.push_back(constant);
    checkTensors(constant, "constants");
  }
  c10::IValue data = readPickle("data");
  if (!data.isObject() || !data.toObject()->type()->is_module())
    throw ReadError(std::string(expected) + ", got data.pkl without a module");
  torch::jit::Module module(data.toObject());
  walkModules(module, "", [&](const auto &part, const std::string &path) {
    checkAttributes(*part._ivalue(), path);
  });
  return {unit, module};
}

/// The file, mapped: tables larger than memory are paged in as they are
/// written out.
static std::shared_ptr<ArchiveBytes> mapFile(const std::string &path) {
  size_t bytes = std::filesystem::file_size(path);
  auto mapping = std::make_shared<at::DataPtr>(
      at::MapAllocator::makeDataPtr(path, /*flags=*/0, bytes, nullptr));
  const char *begin = static_cast<const char *>(mapping->get());
  return std::make_shared<ArchiveBytes>(std::move(mapping), begin, bytes);
}

static Archive
load(const std::function<std::shared_ptr<ArchiveBytes>()> &open) {
  try {
    return Loader(open()).load();
  } catch (const ReadError &) {
    throw;
  } catch (const torch::jit::ErrorReport &error) {
    throw ReadError(
        "expected code with operators of PyTorch and FBGEMM, got: " +
        firstLine(error.what()));
  } catch (const c10::Error &error) {
    throw ReadError("cannot be loaded, for it is damaged: " +
                    firstLine(error.what_without_backtrace()));
  } catch (const std::out_of_range &) {
    throw ReadError(
        "cannot be loaded: an object lacks attributes of its class");
  } catch (const std::exception &error) {
    throw ReadError("cannot be loaded, for it is damaged: " +
                    firstLine(error.what()));
  }
}

Archive mlir::trec::loadArchive(const std::string &path) {
  checkMagic(path);
  return load([&] { return mapFile(path); });
}

Archive mlir::trec::loadStoredArchive(const std::string &bytes) {
  return load([&] {
    auto owner = std::make_shared<std::string>(bytes);
    return std::make_shared<ArchiveBytes>(owner, owner->data(), owner->size());
  });
}
