//===- ResolveSpec.cpp - What fields of a spec say about each other -------===//
//
// Names that must differ or must exist, and TorchRec's rules for the order of
// features and outputs.
//
//===----------------------------------------------------------------------===//

#include "ResolveSpec.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <map>

using namespace mlir::trec;
using llvm::StringMap;
using llvm::StringRef;
using llvm::StringSet;
using llvm::Twine;

/// How often a table, by its index, has a feature.
using PairCounts = std::map<std::pair<size_t, StringRef>, int64_t>;

static std::string element(StringRef array, size_t index) {
  return (array + "[" + Twine(index) + "]").str();
}

/// Names end up as C strings in the compiled model.
void mlir::trec::checkName(const Twine &place, StringRef name,
                           FirstError &error) {
  if (name.empty())
    error.report(place, "expected a name that is not empty");
  if (name.contains('\0'))
    error.report(place, "expected a name without NUL, got " + quote(name));
}

static void checkTableName(const Twine &place, StringRef name,
                           FirstError &error) {
  checkName(place, name, error);
  if (name == "__metadata__")
    error.report(place, "\"__metadata__\" cannot name a table: safetensors "
                        "files reserve it; rename the table");
  if (name == "forward")
    error.report(place, "\"forward\" cannot name a table: the model's function "
                        "has this name; rename the table");
}

static void checkTables(const CollectionSpec &spec, FirstError &error) {
  if (spec.tables.empty())
    error.report("tables", "expected at least one table, got none");
  StringMap<size_t> places;
  for (const auto &[index, table] : llvm::enumerate(spec.tables)) {
    std::string place = element("tables", index);
    checkTableName(place + ".name", table.name, error);
    auto [other, isNew] = places.try_emplace(table.name, index);
    if (!isNew)
      error.report(place + ".name", quote(table.name) +
                                        " is also the name of " +
                                        element("tables", other->second) +
                                        "; rename one of them");
    if (table.features.empty())
      error.report(place + ".features",
                   "expected at least one feature, got none; remove table " +
                       quote(table.name) + " if nothing uses it");
    for (const auto &[i, feature] : llvm::enumerate(table.features))
      checkName(element(place + ".features", i), feature, error);
  }
}

/// The features of all outputs, in order of first appearance.
static std::vector<std::string> listFeatures(const CollectionSpec &spec) {
  std::vector<std::string> features;
  StringSet<> seen;
  for (const OutputSpec &output : spec.outputs)
    if (seen.insert(output.feature).second)
      features.push_back(output.feature);
  return features;
}

static void checkFeatures(const CollectionSpec &spec, FirstError &error) {
  StringMap<size_t> places;
  for (const auto &[index, feature] : llvm::enumerate(spec.features)) {
    auto [other, isNew] = places.try_emplace(feature, index);
    if (!isNew)
      error.report(element("features", index),
                   quote(feature) + " is also " +
                       element("features", other->second) +
                       "; list each feature once");
  }
  StringSet<> used;
  for (const TableSpec &table : spec.tables)
    for (const std::string &feature : table.features) {
      used.insert(feature);
      if (!places.count(feature))
        error.report("features", "expected all features of the tables, but " +
                                     quote(feature) + " of table " +
                                     quote(table.name) + " is missing; add it");
    }
  for (const auto &[index, feature] : llvm::enumerate(spec.features))
    if (!used.contains(feature))
      error.report(element("features", index),
                   quote(feature) + " is a feature of no table; remove it or "
                                    "add it to the features of a table");
}

/// TorchRec's rule: tables grouped by pooling, without pooling by the type of
/// their weights, groups in order of first appearance; a feature that is used
/// more than once is named with its table.
static std::vector<OutputSpec> listOutputs(const CollectionSpec &spec) {
  auto groupOf = [&](const TableSpec &table) {
    return spec.isPooled ? int(table.pooling) : int(table.weights);
  };
  StringMap<int64_t> uses;
  llvm::SmallVector<int> groups;
  for (const TableSpec &table : spec.tables) {
    if (!llvm::is_contained(groups, groupOf(table)))
      groups.push_back(groupOf(table));
    for (const std::string &feature : table.features)
      ++uses[feature];
  }
  std::vector<OutputSpec> outputs;
  for (int group : groups)
    for (const auto &[index, table] : llvm::enumerate(spec.tables)) {
      if (groupOf(table) != group)
        continue;
      for (const std::string &feature : table.features) {
        bool isShared = uses[feature] > 1;
        outputs.push_back(
            {isShared ? feature + "@" + table.name : feature, index, feature});
      }
    }
  return outputs;
}

/// All tensors come with one weights file, so parameters share one space of
/// names with the tables.
static void checkParameterNames(const CollectionSpec &spec, FirstError &error) {
  StringSet<> names;
  for (const TableSpec &table : spec.tables)
    names.insert(table.name);
  auto check = [&](const std::string &place, StringRef name) {
    checkTableName(place, name, error);
    if (!names.insert(name).second)
      error.report(place, quote(name) + " is also the name of another tensor; "
                                        "rename one of them");
  };
  for (const auto &[index, weights] : llvm::enumerate(spec.positionWeights))
    check(element("position_weights", index) + ".name", weights.name);
  for (const auto &[index, table] : llvm::enumerate(spec.tables))
    if (table.remap)
      check(element("tables", index) + ".remap.name", table.remap->name);
}

static void checkPositionWeights(const CollectionSpec &spec,
                                 FirstError &error) {
  if (spec.positionWeights.empty())
    return;
  if (spec.weighted)
    error.report("weighted", "expected false in a model with position_weights, "
                             "which take the place of per-sample weights");
  StringSet<> features;
  for (const auto &[index, weights] : llvm::enumerate(spec.positionWeights)) {
    std::string place = element("position_weights", index);
    if (!llvm::is_contained(spec.features, weights.feature))
      error.report(place + ".feature", quote(weights.feature) +
                                           " is no feature of this model; use "
                                           "one of its \"features\"");
    if (!features.insert(weights.feature).second)
      error.report(place + ".feature", quote(weights.feature) +
                                           " has position weights already; "
                                           "list each feature once");
  }
  for (const std::string &feature : spec.features)
    if (!features.contains(feature))
      error.report("position_weights",
                   "expected weights of every feature, but " + quote(feature) +
                       " is missing; add it");
}

/// The weights of a feature by position, or null.
static const PositionWeightsSpec *findWeights(const CollectionSpec &spec,
                                              StringRef feature) {
  for (const PositionWeightsSpec &weights : spec.positionWeights)
    if (weights.feature == feature)
      return &weights;
  return nullptr;
}

static void checkFixedLengths(const CollectionSpec &spec, FirstError &error) {
  StringSet<> features;
  for (const auto &[index, fixed] : llvm::enumerate(spec.fixedLengths)) {
    std::string place = element("fixed_lengths", index);
    if (!llvm::is_contained(spec.features, fixed.feature))
      error.report(place + ".feature", quote(fixed.feature) +
                                           " is no feature of this model; use "
                                           "one of its \"features\"");
    if (!features.insert(fixed.feature).second)
      error.report(place + ".feature", quote(fixed.feature) +
                                           " has a fixed length already; list "
                                           "each feature once");
    const PositionWeightsSpec *weights = findWeights(spec, fixed.feature);
    if (weights && fixed.length > weights->length)
      error.report(place + ".length",
                   "expected at most " + Twine(weights->length) +
                       ", the position weights of " + quote(fixed.feature) +
                       ", got " + Twine(fixed.length));
  }
}

static PairCounts countPairs(const CollectionSpec &spec) {
  PairCounts counts;
  for (const auto &[index, table] : llvm::enumerate(spec.tables))
    for (const std::string &feature : table.features)
      ++counts[{index, feature}];
  return counts;
}

/// Looks up the table of one output; its feature is checked against `left`, the
/// pairs that no output before it has used.
static OutputSpec resolveOutput(const NamedOutput &output, StringRef place,
                                const StringMap<size_t> &tables,
                                PairCounts &left, FirstError &error) {
  checkName(place + ".key", output.key, error);
  auto table = tables.find(output.table);
  if (table == tables.end()) {
    error.report(place + ".table", quote(output.table) +
                                       " is no table of this model; use the "
                                       "name of one of \"tables\"");
    return {};
  }
  auto pair = left.find({table->second, output.feature});
  if (pair == left.end())
    error.report(place + ".feature",
                 "table " + quote(output.table) + " has no feature " +
                     quote(output.feature) + "; use one of its \"features\"");
  else if (pair->second-- == 0)
    error.report(place, "feature " + quote(output.feature) + " of table " +
                            quote(output.table) +
                            " is listed more often than the table has it; "
                            "remove this output");
  return {output.key, table->second, output.feature};
}

static void resolveOutputs(CollectionSpec &spec,
                           const std::vector<NamedOutput> &outputs,
                           FirstError &error) {
  StringMap<size_t> tables;
  for (const auto &[index, table] : llvm::enumerate(spec.tables))
    tables[table.name] = index;
  PairCounts left = countPairs(spec);
  for (const auto &[index, output] : llvm::enumerate(outputs))
    spec.outputs.push_back(
        resolveOutput(output, element("outputs", index), tables, left, error));
  for (const auto &[pair, count] : left)
    if (count > 0)
      error.report("outputs", "expected every feature of every table, but " +
                                  quote(pair.second) + " of table " +
                                  quote(spec.tables[pair.first].name) +
                                  " is missing; add it");
}

/// Puts tables in the order of the outputs, and weights by position in that of
/// the features. Each importer knows these orders; that of TorchRec's configs
/// is not in every source.
static void sortTensors(CollectionSpec &spec) {
  std::vector<TableSpec> tables;
  std::map<size_t, size_t> places;
  for (OutputSpec &output : spec.outputs) {
    auto [place, isNew] = places.try_emplace(output.table, tables.size());
    if (isNew)
      tables.push_back(std::move(spec.tables[output.table]));
    output.table = place->second;
  }
  spec.tables = std::move(tables);
  llvm::stable_sort(spec.positionWeights, [&](const auto &a, const auto &b) {
    return llvm::find(spec.features, a.feature) <
           llvm::find(spec.features, b.feature);
  });
}

void mlir::trec::resolveCollection(
    CollectionSpec &spec, bool hasFeatures,
    const std::optional<std::vector<NamedOutput>> &outputs, FirstError &error) {
  checkTables(spec, error);
  // What follows relies on the names of tables.
  if (error)
    return;
  if (hasFeatures)
    checkFeatures(spec, error);
  checkParameterNames(spec, error);
  if (outputs)
    resolveOutputs(spec, *outputs, error);
  else
    spec.outputs = listOutputs(spec);
  if (!hasFeatures)
    spec.features = listFeatures(spec);
  checkPositionWeights(spec, error);
  checkFixedLengths(spec, error);
  if (!error)
    sortTensors(spec);
}

void mlir::trec::checkStoredRows(const CollectionSpec &spec,
                                 FirstError &error) {
  constexpr char remedy[] = "; use \"float32\", \"float16\" or \"bfloat16\"";
  if (spec.isPooled)
    error.report("output_dtype",
                 Twine("\"uint8\" gives out stored rows, which bags pool") +
                     remedy);
  for (const TableSpec &table : spec.tables)
    if (table.weights != WeightsType::int8)
      error.report("output_dtype",
                   "\"uint8\" gives out stored rows of int8, but table " +
                       quote(table.name) + " has " +
                       stringifyWeightsType(table.weights).str() + remedy);
}
