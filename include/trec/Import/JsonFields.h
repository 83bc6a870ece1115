//===- JsonFields.h - Fields of JSON objects, with their places -*- C++ -*-===//
//
// Reads the fields of one JSON object. Only the first error is kept; readers
// after it return a fallback, so that a caller reads a whole document and asks
// once at its end:
//
//   FirstError error;
//   JsonFields fields(value, "tables[3]", error);
//   table.dim = fields.readInteger("embedding_dim", {1, maxDim});
//   return error.take(); // `tables[3].embedding_dim: expected …, got …`
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_JSONFIELDS_H
#define TREC_IMPORT_JSONFIELDS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::trec {

/// The first of several errors.
class FirstError {
public:
  void report(const llvm::Twine &place, const llvm::Twine &message) {
    if (text.empty())
      text = (scope + place + ": " + message).str();
  }
  explicit operator bool() const { return !text.empty(); }
  llvm::Error take() const;
  /// Goes in front of the places that are reported from here on.
  void setScope(std::string prefix) { scope = std::move(prefix); }

private:
  std::string scope, text;
};

/// `name` as it is shown in errors: in quotes, escaped as in JSON.
std::string quote(llvm::StringRef name);

/// `a`, `b` and `c` in quotes, with commas.
std::string quoteAll(llvm::ArrayRef<llvm::StringRef> names);

/// The JSON in a file. Errors begin with its path.
llvm::Expected<llvm::json::Value> readJsonFile(llvm::StringRef path);

/// The smallest and the largest integer that a field may be.
struct IntegerRange {
  int64_t min;
  int64_t max;
};

class JsonFields {
public:
  /// `place` is empty for the document itself.
  JsonFields(const llvm::json::Value &value, std::string place,
             FirstError &error);

  /// Reports the first field that is not one of `known`.
  void refuseUnknown(llvm::ArrayRef<llvm::StringRef> known);

  bool has(llvm::StringRef field) const { return get(field); }
  /// The value of a field, or null.
  const llvm::json::Value *get(llvm::StringRef field) const {
    return object->get(field);
  }

  std::string readString(llvm::StringRef field);
  bool readBool(llvm::StringRef field);
  int64_t readInteger(llvm::StringRef field, IntegerRange range);
  /// A number of at least 0.
  double readNonNegative(llvm::StringRef field);
  /// Missing where the field is null.
  std::optional<int64_t> readIntegerOrNull(llvm::StringRef field,
                                           IntegerRange range);
  /// Null where the field is no array.
  const llvm::json::Array *readArray(llvm::StringRef field);
  std::vector<std::string> readStrings(llvm::StringRef field);
  /// The index of the field's value in `choices`.
  size_t readChoice(llvm::StringRef field,
                    llvm::ArrayRef<llvm::StringRef> choices);

  /// The place of a field, `tables[3].name`.
  std::string at(llvm::StringRef field) const;

private:
  void reportType(llvm::StringRef field, const llvm::Twine &expected);

  const llvm::json::Object *object;
  std::string place;
  FirstError &error;
};

} // namespace mlir::trec

#endif // TREC_IMPORT_JSONFIELDS_H
