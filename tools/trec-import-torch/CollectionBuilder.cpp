//===- CollectionBuilder.cpp - A collection of lookups --------------------===//

#include "CollectionBuilder.h"

#include <algorithm>

using namespace mlir::trec;

void CollectionBuilder::setOrCheck(std::string &known, const std::string &value,
                                   const char *what) const {
  if (!known.empty() && known != value)
    fail(std::string(what) + ": expected the same for all tables, got " +
         known + " and " + value);
  known = value;
}

static bool isWeightedByPosition(const Collection &collection) {
  return !collection.positionWeights.empty();
}

void CollectionBuilder::add(const Lookup &lookup, const BatchOrigin &origin) {
  if (origin.features.size() != lookup.featureTables.size())
    fail("expected " + std::to_string(lookup.featureTables.size()) +
         " features for a lookup of as many, got " +
         std::to_string(origin.features.size()));
  bool isFirst = collection.tables.empty();
  if (isFirst) {
    batch = origin.batch;
    collection.isPooled = lookup.isPooled;
    collection.weighted = origin.weighted;
  }
  if (batch != origin.batch)
    fail("expected one batch for all lookups of a collection, got two");
  if (collection.weighted != origin.weighted ||
      (!isFirst &&
       isWeightedByPosition(collection) == origin.positionWeights.empty()))
    fail("expected all lookups of a collection to be weighted alike or none, "
         "got both");
  setOrCheck(collection.outputType, lookup.outputType, "output type");
  setOrCheck(collection.boundsCheck, lookup.boundsCheck, "bounds check");
  paths.insert(lookup.collectionPath.value_or(place.path));

  size_t first = collection.tables.size();
  collection.tables.insert(collection.tables.end(), lookup.tables.begin(),
                           lookup.tables.end());
  for (size_t i = 0; i < origin.features.size(); ++i) {
    const std::string &feature = origin.features[i];
    size_t table = first + lookup.featureTables[i];
    collection.tables[table].features.push_back(feature);
    collection.outputs.push_back({"", table, feature});
    if (std::find(collection.features.begin(), collection.features.end(),
                  feature) != collection.features.end())
      continue;
    collection.features.push_back(feature);
    if (!origin.positionWeights.empty())
      collection.positionWeights.push_back(origin.positionWeights[i]);
  }
}

int64_t CollectionBuilder::countUses(const std::string &feature) const {
  return std::count_if(
      collection.outputs.begin(), collection.outputs.end(),
      [&](const StoredOutput &output) { return output.feature == feature; });
}

void CollectionBuilder::readKey(size_t output, const std::string &key) {
  const std::string &feature = collection.outputs[output].feature;
  StoredTable &table = collection.tables[collection.outputs[output].table];
  if (table.isNamed || key.rfind(feature + "@", 0) != 0 ||
      countUses(feature) == 1)
    return;
  table.name = key.substr(feature.size() + 1);
  table.isNamed = true;
}

void CollectionBuilder::nameTables() {
  std::set<std::string> names;
  for (const StoredTable &table : collection.tables)
    if (table.isNamed)
      names.insert(table.name);
  for (StoredTable &table : collection.tables) {
    if (table.isNamed || table.features.empty())
      continue;
    std::string base = "t_" + table.features.front();
    table.name = base;
    for (int number = 2; !names.insert(table.name).second; ++number)
      table.name = base + "_" + std::to_string(number);
  }
}

void CollectionBuilder::nameOutputs() {
  for (StoredOutput &output : collection.outputs)
    output.key =
        countUses(output.feature) == 1
            ? output.feature
            : output.feature + "@" + collection.tables[output.table].name;
}

Collection CollectionBuilder::take() {
  collection.path = paths.size() == 1 ? *paths.begin() : place.path;
  return std::move(collection);
}
