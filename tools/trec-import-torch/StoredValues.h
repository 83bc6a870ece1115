//===- StoredValues.h - Attributes and tensors, checked ---------*- C++ -*-===//
//
// Reads what FBGEMM's modules and operators store. An archive may hold
// anything, and LibTorch aborts or reads on where a value is of another type,
// so types are checked here:
//
//   Attributes batch(object, "module 'tbes.0'");
//   int64_t alignment = batch.getInteger("row_alignment"); // throws ReadError
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_STOREDVALUES_H
#define TREC_IMPORT_TORCH_STOREDVALUES_H

#include "Archive.h"
#include "Collection.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace mlir::trec {

/// FBGEMM's codes as the spec's names. Errors say what cannot be compiled.
std::string weightsTypeName(int64_t code, const std::string &where);
std::string poolingName(int64_t code, const std::string &where);
std::string outputTypeName(int64_t code, const std::string &where);
std::string boundsCheckName(int64_t code, const std::string &where);

/// FBGEMM's fp8 has its format as two numbers, of which one pair is compiled.
void checkFP8(int64_t exponentBits, int64_t exponentBias,
              const std::string &where);

std::vector<int64_t> readIntegers(const at::Tensor &tensor,
                                  const std::string &where);
/// Integers of any type as int32, which they have to fit.
at::Tensor narrowIntegers(const at::Tensor &tensor, const std::string &where);
/// The elements of a vector of float32.
std::vector<float> readFloats(const at::Tensor &tensor,
                              const std::string &where);

/// Points a table at its first row in FBGEMM's one tensor of all tables.
void bindRows(StoredTable &table, const at::Tensor &weights, int64_t offset,
              const std::string &where);

/// The attributes of one object. `where` opens every error.
class Attributes {
public:
  Attributes(c10::intrusive_ptr<c10::ivalue::Object> object, std::string where)
      : object(std::move(object)), where(std::move(where)) {}

  bool has(const char *name) const;
  c10::IValue get(const char *name) const;
  int64_t getInteger(const char *name) const;
  std::vector<int64_t> getIntegers(const char *name) const;
  at::Tensor getTensor(const char *name) const;

private:
  [[noreturn]] void fail(const char *name, const char *expected) const;

  c10::intrusive_ptr<c10::ivalue::Object> object;
  std::string where;
};

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_STOREDVALUES_H
