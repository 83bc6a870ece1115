//===- StoredValues.cpp - Attributes and tensors, checked -----------------===//

#include "StoredValues.h"

#include <ATen/ATen.h>

using namespace mlir::trec;

static std::string nameOf(int64_t code, std::vector<const char *> names,
                          const std::string &error) {
  if (code < 0 || size_t(code) >= names.size() || !names[code])
    throw ReadError(error + ", got code " + std::to_string(code));
  return names[code];
}

std::string mlir::trec::weightsTypeName(int64_t code,
                                        const std::string &where) {
  return nameOf(
      code, {"fp32", "fp16", "int8", "int4", "int2", nullptr, "fp8"},
      where + ": expected weights of fp32, fp16, int8, int4, int2 or fp8");
}

std::string mlir::trec::poolingName(int64_t code, const std::string &where) {
  return nameOf(code, {"sum", "mean", "none"},
                where + ": expected pooling by sum, by mean or none");
}

std::string mlir::trec::outputTypeName(int64_t code, const std::string &where) {
  return nameOf(
      code, {"float32", "float16", "uint8", nullptr, nullptr, "bfloat16"},
      where + ": expected output of fp32, fp16, bf16 or int8, for others are "
              "undefined");
}

std::string mlir::trec::boundsCheckName(int64_t code,
                                        const std::string &where) {
  return nameOf(code, {"fatal", "warning", "ignore", "none"},
                where +
                    ": expected a bounds check of FATAL, WARNING, IGNORE or "
                    "NONE");
}

void mlir::trec::checkFP8(int64_t exponentBits, int64_t exponentBias,
                          const std::string &where) {
  if (exponentBits != 4 || exponentBias != 7)
    throw ReadError(where +
                    ": expected fp8 of 4 bits of exponent with bias 7, "
                    "got " +
                    std::to_string(exponentBits) + " bits with bias " +
                    std::to_string(exponentBias));
}

/// The loader has made sure that the bytes of a tensor are there.
static void checkContiguous(const at::Tensor &tensor,
                            const std::string &where) {
  if (!tensor.defined() || !tensor.device().is_cpu() || !tensor.is_contiguous())
    throw ReadError(where +
                    ": expected a contiguous tensor of the archive, got "
                    "one with strides or without bytes");
}

static void checkIntegers(const at::Tensor &tensor, const std::string &where) {
  checkContiguous(tensor, where);
  if (!c10::isIntegralType(tensor.scalar_type(), /*includeBool=*/false))
    throw ReadError(where + ": expected a tensor of integers, got " +
                    c10::toString(tensor.scalar_type()));
}

at::Tensor mlir::trec::narrowIntegers(const at::Tensor &tensor,
                                      const std::string &where) {
  checkIntegers(tensor, where);
  at::Tensor narrow = tensor.to(at::kInt);
  if (!narrow.to(tensor.scalar_type()).equal(tensor))
    throw ReadError(where + ": expected integers of 32 bits, got larger ones");
  return narrow;
}

std::vector<int64_t> mlir::trec::readIntegers(const at::Tensor &tensor,
                                              const std::string &where) {
  checkIntegers(tensor, where);
  at::Tensor wide = tensor.to(at::kLong);
  return {wide.const_data_ptr<int64_t>(),
          wide.const_data_ptr<int64_t>() + wide.numel()};
}

std::vector<float> mlir::trec::readFloats(const at::Tensor &tensor,
                                          const std::string &where) {
  checkContiguous(tensor, where);
  if (tensor.scalar_type() != at::kFloat || tensor.dim() != 1)
    throw ReadError(where + ": expected a vector of float32, got " +
                    std::to_string(tensor.dim()) + " dimensions of " +
                    c10::toString(tensor.scalar_type()));
  return {tensor.const_data_ptr<float>(),
          tensor.const_data_ptr<float>() + tensor.numel()};
}

void mlir::trec::bindRows(StoredTable &table, const at::Tensor &weights,
                          int64_t offset, const std::string &where) {
  checkContiguous(weights, where);
  if (weights.scalar_type() != at::kByte || offset < 0 ||
      offset > weights.numel())
    throw ReadError(where + ": expected bytes of weights with a table at " +
                    std::to_string(offset) + ", got " +
                    std::to_string(weights.numel()) + " elements of " +
                    c10::toString(weights.scalar_type()));
  table.owner = std::make_shared<at::Tensor>(weights);
  table.data = weights.const_data_ptr<uint8_t>() + offset;
  table.available = weights.numel() - offset;
}

void Attributes::fail(const char *name, const char *expected) const {
  throw ReadError(where + ": expected attribute '" + name + "' to be " +
                  expected + " as FBGEMM's table batches have it, got " +
                  (has(name) ? object->getAttr(name).tagKind() : "none"));
}

bool Attributes::has(const char *name) const {
  return object->type()->findAttributeSlot(name).has_value();
}

c10::IValue Attributes::get(const char *name) const {
  return has(name) ? object->getAttr(name) : c10::IValue();
}

int64_t Attributes::getInteger(const char *name) const {
  c10::IValue value = get(name);
  if (!value.isInt())
    fail(name, "an integer");
  return value.toInt();
}

std::vector<int64_t> Attributes::getIntegers(const char *name) const {
  c10::IValue value = get(name);
  if (!value.isIntList())
    fail(name, "a list of integers");
  return value.toIntVector();
}

at::Tensor Attributes::getTensor(const char *name) const {
  c10::IValue value = get(name);
  if (!value.isTensor())
    fail(name, "a tensor");
  return value.toTensor();
}
