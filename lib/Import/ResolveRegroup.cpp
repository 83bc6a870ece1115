//===- ResolveRegroup.cpp - What collections and groups say of each other -===//
//
// All tensors come with one weights file, all batches with one call, and each
// output has its place in a group.
//
//===----------------------------------------------------------------------===//

#include "ResolveSpec.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"

#include <map>

using namespace mlir::trec;
using llvm::StringMap;
using llvm::StringRef;
using llvm::Twine;

static std::string element(StringRef array, size_t index) {
  return (array + "[" + Twine(index) + "]").str();
}

/// The names of the tensors of a collection.
static std::vector<StringRef> listTensors(const CollectionSpec &collection) {
  std::vector<StringRef> names;
  for (const TableSpec &table : collection.tables) {
    names.push_back(table.name);
    if (table.remap)
      names.push_back(table.remap->name);
  }
  for (const PositionWeightsSpec &weights : collection.positionWeights)
    names.push_back(weights.name);
  return names;
}

static void checkTensorNames(const ModelSpec &spec, FirstError &error) {
  StringMap<size_t> owners;
  for (const auto &[index, collection] : llvm::enumerate(spec.collections))
    for (StringRef name : listTensors(collection)) {
      auto [owner, isNew] = owners.try_emplace(name, index);
      if (!isNew && owner->second != index)
        error.report(element("collections", index),
                     quote(name) + " is also the name of a tensor of " +
                         element("collections", owner->second) +
                         "; rename one of them");
    }
}

/// The batches are numbered without gaps.
static void checkBatches(const ModelSpec &spec, FirstError &error) {
  if (spec.collections.empty())
    error.report("collections", "expected at least one collection, got none");
  size_t numBatches = 0;
  for (const CollectionSpec &collection : spec.collections)
    numBatches = std::max(numBatches, collection.batch + 1);
  for (size_t batch = 0; batch < numBatches; ++batch)
    if (llvm::none_of(spec.collections, [&](const CollectionSpec &collection) {
          return collection.batch == batch;
        }))
      error.report("collections", "expected a collection for each batch from "
                                  "0 to " +
                                      Twine(numBatches - 1) + ", but batch " +
                                      Twine(batch) + " has none");
}

/// The fixed length of a feature, as text.
static std::string describeLength(const CollectionSpec &collection,
                                  StringRef feature) {
  for (const FixedLengthSpec &fixed : collection.fixedLengths)
    if (fixed.feature == feature)
      return "the fixed length " + std::to_string(fixed.length);
  return "no fixed length";
}

/// Collections that read one batch promise the same of it.
static void checkFixedLengths(const ModelSpec &spec, FirstError &error) {
  std::map<std::pair<size_t, std::string>, size_t> first;
  for (const auto &[index, collection] : llvm::enumerate(spec.collections))
    for (const std::string &feature : collection.features) {
      size_t other =
          first.try_emplace({collection.batch, feature}, index).first->second;
      std::string here = describeLength(collection, feature);
      std::string there = describeLength(spec.collections[other], feature);
      if (here != there)
        error.report(element("collections", index) + ".fixed_lengths",
                     "feature " + quote(feature) + " has " + here + ", but " +
                         there + " in " + element("collections", other) +
                         ", which reads the same batch");
    }
}

/// The collections that have an output of each key, once for each time.
static StringMap<llvm::SmallVector<size_t>> findOwners(const ModelSpec &spec) {
  StringMap<llvm::SmallVector<size_t>> owners;
  for (const auto &[index, collection] : llvm::enumerate(spec.collections))
    for (const OutputSpec &output : collection.outputs)
      owners[output.key].push_back(index);
  return owners;
}

static void checkGroupKeys(const ModelSpec &spec, FirstError &error) {
  if (spec.groups.empty())
    error.report("groups", "expected at least one group, got none");
  StringMap<size_t> places;
  for (const auto &[index, group] : llvm::enumerate(spec.groups)) {
    std::string place = element("groups", index);
    checkName(place + ".key", group.key, error);
    auto [other, isNew] = places.try_emplace(group.key, index);
    if (!isNew)
      error.report(place + ".key", quote(group.key) + " is also the key of " +
                                       element("groups", other->second) +
                                       "; rename one of them");
    if (group.keys.empty())
      error.report(place + ".keys", "expected at least one key, got none");
  }
}

static void checkGroups(const ModelSpec &spec, FirstError &error) {
  StringMap<llvm::SmallVector<size_t>> owners = findOwners(spec);
  StringMap<bool> grouped;
  for (const auto &[index, group] : llvm::enumerate(spec.groups))
    for (const auto &[i, key] : llvm::enumerate(group.keys)) {
      std::string place = element(element("groups", index) + ".keys", i);
      grouped[key] = true;
      auto found = owners.find(key);
      if (found == owners.end())
        error.report(place, quote(key) + " is the key of no output; use one of "
                                         "a collection");
      else if (found->second.size() > 1)
        error.report(place, quote(key) + " is the key of outputs of " +
                                element("collections", found->second[0]) +
                                " and of " +
                                element("collections", found->second[1]) +
                                "; give one of them another key");
    }
  for (const auto &[index, collection] : llvm::enumerate(spec.collections))
    for (const OutputSpec &output : collection.outputs)
      if (!grouped.contains(output.key))
        error.report(element("collections", index),
                     "output " + quote(output.key) +
                         " is in no group; add it to one, or remove its "
                         "feature from its table");
}

void mlir::trec::resolveRegroup(const ModelSpec &spec, FirstError &error) {
  checkTensorNames(spec, error);
  checkBatches(spec, error);
  checkFixedLengths(spec, error);
  checkGroupKeys(spec, error);
  checkGroups(spec, error);
}
