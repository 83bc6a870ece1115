//===- WeightsFile.cpp - The weights of a model ---------------------------===//

#include "trec/Import/WeightsFile.h"

#include "trec/Import/JsonFields.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace mlir::trec;
using namespace llvm;

static Error fail(const TensorFile &file, const Twine &message) {
  return createStringError(file.getPath() + ": " + message);
}

static std::string showShape(ArrayRef<int64_t> shape) {
  std::string text;
  raw_string_ostream os(text);
  os << '[';
  interleaveComma(shape, os, [&](int64_t size) {
    if (ShapedType::isDynamic(size))
      os << "entries";
    else
      os << size;
  });
  os << ']';
  return text;
}

static Expected<Tensor> findTable(const TensorFile &file, TableOp table) {
  StringRef name = table.getSymName();
  const Tensor *tensor = file.find(name);
  if (!tensor)
    return fail(file, "no tensor for table " + quote(name) + " among its " +
                          Twine(file.getTensors().size()) + " tensors");
  if (tensor->dtype != "U8")
    return fail(file, "table " + quote(name) + ": dtype is " +
                          quote(tensor->dtype) + ", expected \"U8\"");
  TableType type = table.getType();
  int64_t rowBytes = type.getRowType().getRowBytes();
  bool hasRows =
      type.hasDynamicRows() ||
      (!tensor->shape.empty() && tensor->shape.front() == type.getRows());
  if (tensor->shape.size() != 2 || tensor->shape[1] != rowBytes || !hasRows)
    return fail(file,
                "table " + quote(name) + ": shape is " +
                    showShape(tensor->shape) + ", expected [" +
                    (type.hasDynamicRows() ? "rows" : Twine(type.getRows())) +
                    ", " + Twine(rowBytes) + "]");
  return *tensor;
}

static StringRef getDType(Type element) {
  if (element.isF32())
    return "F32";
  return element.isInteger(32) ? "I32" : "I64";
}

bool mlir::trec::isParameter(ParameterOp parameter, StringRef dtype,
                             ArrayRef<int64_t> shape) {
  RankedTensorType type = parameter.getType();
  return dtype == getDType(type.getElementType()) &&
         shape.size() == size_t(type.getRank()) &&
         all_of(zip(shape, type.getShape()), [](auto sizes) {
           auto [size, expected] = sizes;
           return ShapedType::isDynamic(expected) || size == expected;
         });
}

std::string mlir::trec::describeParameter(ParameterOp parameter) {
  RankedTensorType type = parameter.getType();
  return quote(getDType(type.getElementType())) + " and " +
         showShape(type.getShape());
}

static Expected<Tensor> findParameter(const TensorFile &file,
                                      ParameterOp parameter) {
  StringRef name = parameter.getSymName();
  const Tensor *tensor = file.find(name);
  if (!tensor)
    return fail(file, "no tensor for parameter " + quote(name) + " among its " +
                          Twine(file.getTensors().size()) + " tensors");
  if (!isParameter(parameter, tensor->dtype, tensor->shape))
    return fail(file, "parameter " + quote(name) + ": dtype is " +
                          quote(tensor->dtype) + " and shape " +
                          showShape(tensor->shape) + ", expected " +
                          describeParameter(parameter));
  return *tensor;
}

Expected<std::vector<Tensor>> mlir::trec::findTables(const TensorFile &file,
                                                     ModuleOp module) {
  std::vector<Tensor> tensors;
  for (auto table : module.getOps<TableOp>()) {
    Expected<Tensor> tensor = findTable(file, table);
    if (!tensor)
      return tensor.takeError();
    tensors.push_back(std::move(*tensor));
  }
  for (auto parameter : module.getOps<ParameterOp>()) {
    Expected<Tensor> tensor = findParameter(file, parameter);
    if (!tensor)
      return tensor.takeError();
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

static bool isCanonical(const TensorFile &file, std::vector<Tensor> tensors) {
  sortForLayout(tensors);
  std::string header = formatHeader(tensors);
  uint64_t size = header.size();
  for (const Tensor &tensor : tensors)
    size += tensor.bytes.size();
  return file.getText().size() == size && file.getText().starts_with(header);
}

/// A tensor that no table and no parameter is named after, or null.
static const Tensor *findSurplus(const TensorFile &file, ModuleOp module) {
  SymbolTable symbols(module);
  for (const Tensor &tensor : file.getTensors())
    if (!isa_and_present<TableOp, ParameterOp>(symbols.lookup(tensor.name)))
      return &tensor;
  return nullptr;
}

Error mlir::trec::writeWeights(const TensorFile &file, ModuleOp module,
                               StringRef path) {
  Expected<std::vector<Tensor>> tensors = findTables(file, module);
  if (!tensors)
    return tensors.takeError();
  if (!sys::fs::equivalent(file.getPath(), path))
    return writeTensorFile(path, std::move(*tensors));
  if (isCanonical(file, *tensors))
    return Error::success();
  // Writing would lose it, and this file is the only one that has it.
  if (const Tensor *surplus = findSurplus(file, module))
    return fail(file, "tensor " + quote(surplus->name) +
                          " is no table of this model, and this file is the "
                          "one to be written; move it elsewhere first");
  return writeTensorFile(path, std::move(*tensors));
}
