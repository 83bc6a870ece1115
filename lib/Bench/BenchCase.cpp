//===- BenchCase.cpp - What a benchmark looks up, and for how long --------===//

#include "trec/Bench/BenchCase.h"

#include "trec/Import/JsonFields.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Expected;
namespace json = llvm::json;

/// Version of case files.
static constexpr int64_t caseVersion = 1;
/// Fields whose lists are not multiplied out.
static constexpr StringRef plainLists[] = {"tables", "peers", "cycle",
                                           "heavy_hitters"};
static constexpr int64_t maxInteger = INT32_MAX;

/// As short as it can be said: "1.05", "2".
static std::string describe(double number) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", number);
  return text;
}

std::string IdDistribution::describe() const {
  if (exponent == 0)
    return "uniform";
  std::string text = "zipf" + ::describe(exponent);
  return hitters.empty() ? text
                         : text + "+" + std::to_string(hitters.size()) + "hot";
}

std::string BenchLoad::describe() const {
  std::string text = "l" + lengths.text + " " + distribution.describe() +
                     (idsType == TREC_INT32 ? " int32" : " int64");
  if (pages != Pages::any)
    text += pages == Pages::huge ? " huge pages" : " small pages";
  return text;
}

BagLengths mlir::trec::makeFixedLengths(std::vector<int64_t> byKey) {
  std::string text =
      llvm::all_equal(byKey) ? std::to_string(byKey.front()) : "mixed";
  auto draw = [byKey = std::move(byKey)](size_t key, RandomEngine &) {
    return byKey[key % byKey.size()];
  };
  return {std::move(draw), std::move(text)};
}

static BagLengths makeUniformLengths(int64_t min, int64_t max) {
  auto draw = [=](size_t, RandomEngine &random) {
    return std::uniform_int_distribution<int64_t>(min, max)(random);
  };
  return {draw, std::to_string(min) + ".." + std::to_string(max)};
}

/// Rounded; never below 0.
static BagLengths makeNormalLengths(double mean, double sigma) {
  auto draw = [=](size_t, RandomEngine &random) {
    double length = std::normal_distribution<double>(mean, sigma)(random);
    return std::max<int64_t>(0, std::llround(length));
  };
  return {draw, describe(mean) + "+-" + describe(sigma)};
}

static std::vector<int64_t> readCycle(const JsonFields &fields,
                                      FirstError &error) {
  std::vector<int64_t> values;
  const json::Value *cycle = fields.get("cycle");
  const json::Array *array = cycle ? cycle->getAsArray() : nullptr;
  for (const json::Value &value : array ? *array : json::Array()) {
    values.push_back(value.getAsInteger().value_or(-1));
    if (values.back() < 0)
      array = nullptr;
  }
  if (array && !values.empty())
    return values;
  error.report(fields.at("cycle"),
               "expected a list of integers of at least 0, not empty");
  return {0};
}

static BagLengths readLengths(JsonFields &load, FirstError &error) {
  const json::Value *value = load.get("length");
  if (!value || !value->getAsObject())
    return makeFixedLengths({load.readInteger("length", {0, maxInteger})});
  JsonFields fields(*value, load.at("length"), error);
  if (fields.has("cycle")) {
    fields.refuseUnknown({"cycle"});
    return makeFixedLengths(readCycle(fields, error));
  }
  if (fields.has("mean")) {
    fields.refuseUnknown({"mean", "sigma"});
    double mean = fields.readNonNegative("mean");
    return makeNormalLengths(mean, fields.readNonNegative("sigma"));
  }
  fields.refuseUnknown({"min", "max"});
  int64_t min = fields.readInteger("min", {0, maxInteger});
  return makeUniformLengths(min, fields.readInteger("max", {min, maxInteger}));
}

static std::vector<double> readHitters(JsonFields &fields, FirstError &error) {
  std::vector<double> hitters;
  if (!fields.has("heavy_hitters"))
    return hitters;
  double sum = 0;
  bool good = true;
  if (const json::Array *array = fields.readArray("heavy_hitters"))
    for (const json::Value &value : *array) {
      hitters.push_back(value.getAsNumber().value_or(-1));
      good &= hitters.back() >= 0;
      sum += hitters.back();
    }
  if (!good || sum > 1)
    error.report(fields.at("heavy_hitters"),
                 "expected probabilities that sum to at most 1, got others");
  return hitters;
}

static IdDistribution readDistribution(JsonFields &load, FirstError &error) {
  IdDistribution distribution;
  const json::Value *value = load.get("distribution");
  if (!value || value->getAsString() == StringRef("uniform"))
    return distribution;
  if (!value->getAsObject()) {
    error.report(load.at("distribution"),
                 "expected \"uniform\" or {\"zipf\": exponent}");
    return distribution;
  }
  JsonFields fields(*value, load.at("distribution"), error);
  fields.refuseUnknown({"zipf", "q", "heavy_hitters"});
  distribution.exponent = fields.readNonNegative("zipf");
  if (fields.has("q"))
    distribution.q = fields.readNonNegative("q");
  distribution.hitters = readHitters(fields, error);
  return distribution;
}

static void readRun(const json::Value &value, BenchLoad &load,
                    FirstError &error) {
  JsonFields fields(value, "run", error);
  fields.refuseUnknown({"pages", "peers", "seconds"});
  if (fields.has("pages"))
    load.pages = fields.readChoice("pages", {"small", "huge"}) == 1
                     ? Pages::huge
                     : Pages::small;
  if (fields.has("seconds"))
    load.seconds = fields.readNonNegative("seconds");
}

static BenchLoad readCase(const json::Value &document, FirstError &error) {
  JsonFields fields(document, "", error);
  fields.refuseUnknown(
      {"trec_bench", "family", "label", "about", "model", "load", "run"});
  fields.readInteger("trec_bench", {caseVersion, caseVersion});
  BenchLoad load;
  static const json::Value nothing(nullptr);
  const json::Value *value = fields.get("load");
  JsonFields loadFields(value ? *value : nothing, "load", error);
  loadFields.refuseUnknown({"batch", "length", "ids", "distribution"});
  load.batchSize = loadFields.readInteger("batch", {1, maxInteger});
  load.lengths = readLengths(loadFields, error);
  load.distribution = readDistribution(loadFields, error);
  if (loadFields.has("ids"))
    load.idsType = loadFields.readChoice("ids", {"int32", "int64"}) == 0
                       ? TREC_INT32
                       : TREC_INT64;
  if (const json::Value *run = fields.get("run"))
    readRun(*run, load, error);
  return load;
}

namespace {

/// The value once for each choice of one element from every list in it, the
/// fields of objects in the order of their names.
class Multiplication {
public:
  explicit Multiplication(FirstError &error) : error(error) {}
  std::vector<json::Value> apply(const json::Value &value,
                                 const std::string &place);

private:
  /// What a field may be.
  std::vector<json::Value> listChoices(StringRef name, const json::Value &field,
                                       const std::string &place);

  FirstError &error;
};

} // namespace

std::vector<json::Value> Multiplication::listChoices(StringRef name,
                                                     const json::Value &field,
                                                     const std::string &place) {
  const json::Array *axis = field.getAsArray();
  if (name == "model" || (axis && llvm::is_contained(plainLists, name)))
    return {field};
  if (!axis)
    return apply(field, place);
  if (axis->empty())
    error.report(place, "expected a value or some, got an empty list");
  return {axis->begin(), axis->end()};
}

std::vector<json::Value> Multiplication::apply(const json::Value &value,
                                               const std::string &place) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return {value};
  std::vector<std::string> names;
  for (const auto &[name, field] : *object)
    names.push_back(StringRef(name).str());
  llvm::sort(names);
  std::vector<json::Value> products = {json::Object()};
  for (const std::string &name : names) {
    std::vector<json::Value> longer;
    std::vector<json::Value> choices = listChoices(
        name, *object->get(name), place.empty() ? name : place + "." + name);
    for (const json::Value &product : products)
      for (const json::Value &choice : choices) {
        longer.push_back(product);
        (*longer.back().getAsObject())[name] = choice;
      }
    products = std::move(longer);
  }
  return products;
}

Expected<std::vector<BenchLoad>> mlir::trec::readCaseFile(StringRef path) {
  Expected<json::Value> parsed = readJsonFile(path);
  if (!parsed)
    return parsed.takeError();
  json::Array documents;
  if (const json::Array *array = parsed->getAsArray())
    documents = *array;
  else
    documents.push_back(*parsed);
  std::vector<BenchLoad> loads;
  FirstError error;
  for (const json::Value &document : documents)
    for (const json::Value &concrete :
         Multiplication(error).apply(document, ""))
      loads.push_back(readCase(concrete, error));
  if (error)
    return createStringError(path + ": " + llvm::toString(error.take()));
  if (loads.empty())
    return createStringError(path + ": expected a case, got an empty list");
  return loads;
}
