//===- JsonFields.cpp - Fields of JSON objects, with their places ---------===//

#include "trec/Import/JsonFields.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace mlir::trec;

static const json::Object emptyObject;

Error FirstError::take() const {
  if (text.empty())
    return Error::success();
  return createStringError(text);
}

std::string mlir::trec::quote(StringRef name) {
  return formatv("{0}", json::Value(name)).str();
}

std::string mlir::trec::quoteAll(ArrayRef<StringRef> names) {
  return join(map_range(names, quote), ", ");
}

Expected<json::Value> mlir::trec::readJsonFile(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return createStringError(path + ": " + buffer.getError().message());
  Expected<json::Value> parsed = json::parse((*buffer)->getBuffer());
  if (!parsed)
    return createStringError(path + ": " + toString(parsed.takeError()));
  return parsed;
}

/// What is said after "got".
static std::string describe(const json::Value *value) {
  if (!value)
    return "nothing";
  if (value->getAsObject())
    return "an object";
  if (value->getAsArray())
    return "an array";
  return formatv("{0}", *value).str();
}

JsonFields::JsonFields(const json::Value &value, std::string place,
                       FirstError &error)
    : object(value.getAsObject()), place(std::move(place)), error(error) {
  if (object)
    return;
  error.report(this->place.empty() ? "document" : this->place,
               "expected an object, got " + describe(&value));
  object = &emptyObject;
}

std::string JsonFields::at(StringRef field) const {
  return place.empty() ? field.str() : (place + "." + field).str();
}

void JsonFields::reportType(StringRef field, const Twine &expected) {
  error.report(at(field), "expected " + expected + ", got " +
                              describe(object->get(field)));
}

void JsonFields::refuseUnknown(ArrayRef<StringRef> known) {
  // Objects do not keep the order of the text.
  std::optional<StringRef> first;
  for (const auto &[field, value] : *object)
    if (!is_contained(known, StringRef(field)) &&
        (!first || StringRef(field) < *first))
      first = StringRef(field);
  if (first)
    error.report(at(*first),
                 "unknown field, expected one of " + join(known, ", "));
}

std::string JsonFields::readString(StringRef field) {
  std::optional<StringRef> text = object->getString(field);
  if (!text)
    reportType(field, "a string");
  return text.value_or("").str();
}

bool JsonFields::readBool(StringRef field) {
  std::optional<bool> value = object->getBoolean(field);
  if (!value)
    reportType(field, "true or false");
  return value.value_or(false);
}

int64_t JsonFields::readInteger(StringRef field, IntegerRange range) {
  std::optional<int64_t> value = object->getInteger(field);
  if (value && *value >= range.min && *value <= range.max)
    return *value;
  if (range.min == range.max)
    reportType(field, Twine(range.min));
  else
    reportType(field, "an integer from " + Twine(range.min) + " to " +
                          Twine(range.max));
  return value.value_or(range.min);
}

double JsonFields::readNonNegative(StringRef field) {
  std::optional<double> value = object->getNumber(field);
  if (!value || *value < 0)
    reportType(field, "a number of at least 0");
  return value.value_or(0);
}

std::optional<int64_t> JsonFields::readIntegerOrNull(StringRef field,
                                                     IntegerRange range) {
  // getNull's result travels differently in code from gcc and from clang.
  const json::Value *value = object->get(field);
  if (value && value->kind() == json::Value::Null)
    return std::nullopt;
  return readInteger(field, range);
}

const json::Array *JsonFields::readArray(StringRef field) {
  const json::Array *array = object->getArray(field);
  if (!array)
    reportType(field, "an array");
  return array;
}

std::vector<std::string> JsonFields::readStrings(StringRef field) {
  std::vector<std::string> strings;
  const json::Array *array = readArray(field);
  if (!array)
    return strings;
  for (const auto &[index, value] : enumerate(*array)) {
    std::optional<StringRef> text = value.getAsString();
    if (!text)
      error.report(at(field) + "[" + Twine(index) + "]",
                   "expected a string, got " + describe(&value));
    strings.push_back(text.value_or("").str());
  }
  return strings;
}

size_t JsonFields::readChoice(StringRef field, ArrayRef<StringRef> choices) {
  if (std::optional<StringRef> text = object->getString(field))
    if (const StringRef *found = find(choices, *text); found != choices.end())
      return found - choices.begin();
  reportType(field, "one of " + quoteAll(choices));
  return 0;
}
