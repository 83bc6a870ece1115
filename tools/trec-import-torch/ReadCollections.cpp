//===- ReadCollections.cpp - The collections of an archive ----------------===//
//
// Every KeyedTensor that is made of lookups is a collection. A lookup that is
// part of none is an error: what is not understood is never left out.
//
//===----------------------------------------------------------------------===//

#include "BatchOrigin.h"

#include <algorithm>
#include <map>
#include <set>

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;

static const char keyedClass[] = "torchrec.sparse.jagged_tensor.KeyedTensor";
static const char concatFunction[] =
    "torchrec.quant.embedding_modules._cat_embeddings";

namespace {

/// Reads the collections that one module's forward makes.
class ModuleReader {
public:
  ModuleReader(Place place, std::set<Node *> &claimed)
      : place(std::move(place)), claimed(claimed) {}

  std::vector<Collection> read();

private:
  std::vector<Value *> findParts(Node *keyed) const;
  Collection readCollection(Node *keyed, const std::vector<Value *> &parts);
  void addLookup(Collection &collection, const Lookup &lookup,
                 const BatchOrigin &origin) const;
  void addOutputs(Collection &collection, Node *keyed) const;
  void refuseUnclaimed(torch::jit::Graph &graph) const;
  [[noreturn]] void fail(const std::string &message) const {
    throw ReadError(describeModule(place.path) + ": " + message);
  }

  Place place;
  std::set<Node *> &claimed;
};

} // namespace

static bool isKeyedTensor(Node *node) {
  return node->kind() == c10::prim::CallMethod &&
         node->s(c10::attr::name) == "__init__" &&
         className(node->input(0)->type()) == keyedClass;
}

/// The tensors that a KeyedTensor's values are put together from.
std::vector<Value *> ModuleReader::findParts(Node *keyed) const {
  Value *values = findArgument(keyed, "values");
  if (!values)
    fail("expected a KeyedTensor of values, got one of another release of "
         "TorchRec");
  Node *concat = findCall(values, concatFunction);
  auto parts = concat ? listElements(concat->input(1)) : std::nullopt;
  return parts.value_or(std::vector<Value *>{values});
}

static void setOrCheck(std::string &known, const std::string &value,
                       const std::string &what) {
  if (!known.empty() && known != value)
    throw ReadError(what + ": expected the same for all tables, got " + known +
                    " and " + value);
  known = value;
}

/// Appends the tables of one lookup, and their features in its order.
void ModuleReader::addLookup(Collection &collection, const Lookup &lookup,
                             const BatchOrigin &origin) const {
  if (origin.features.size() != lookup.featureTables.size())
    fail("expected " + std::to_string(lookup.featureTables.size()) +
         " features for a lookup of as many, got " +
         std::to_string(origin.features.size()));
  std::string where = describeModule(place.path);
  setOrCheck(collection.outputType, lookup.outputType, where + ": output type");
  setOrCheck(collection.boundsCheck, lookup.boundsCheck,
             where + ": bounds check");
  size_t first = collection.tables.size();
  collection.tables.insert(collection.tables.end(), lookup.tables.begin(),
                           lookup.tables.end());
  for (size_t i = 0; i < origin.features.size(); ++i) {
    const std::string &feature = origin.features[i];
    size_t table = first + lookup.featureTables[i];
    collection.tables[table].features.push_back(feature);
    collection.outputs.push_back({"", table, feature});
    if (std::find(collection.features.begin(), collection.features.end(),
                  feature) == collection.features.end())
      collection.features.push_back(feature);
  }
}

void ModuleReader::addOutputs(Collection &collection, Node *keyed) const {
  Value *keysValue = findArgument(keyed, "keys");
  Value *dimsValue = findArgument(keyed, "length_per_key");
  auto keys =
      keysValue ? evaluateStrings(place.module, keysValue) : std::nullopt;
  auto dims =
      dimsValue ? evaluateIntegers(place.module, dimsValue) : std::nullopt;
  if (!keys || !dims)
    fail("expected a KeyedTensor with constant keys and length_per_key, got "
         "computed ones");
  if (keys->size() != collection.outputs.size() ||
      dims->size() != collection.outputs.size())
    fail("expected a KeyedTensor of " +
         std::to_string(collection.outputs.size()) +
         " keys, one for each feature looked up, got " +
         std::to_string(keys->size()) + " keys and " +
         std::to_string(dims->size()) + " lengths");
  for (size_t i = 0; i < keys->size(); ++i) {
    StoredOutput &output = collection.outputs[i];
    output.key = (*keys)[i];
    int64_t dim = collection.tables[output.table].dim;
    if ((*dims)[i] != dim)
      fail("key '" + output.key + "': expected length_per_key to be " +
           std::to_string(dim) + ", the table's dim, got " +
           std::to_string((*dims)[i]));
  }
}

/// Gives tables without a name one. A key `feature@table` tells it; where no
/// feature is shared the archive has lost it, and the feature stands for it, in
/// the way that TorchRec's examples name tables.
static void nameTables(Collection &collection) {
  for (const StoredOutput &output : collection.outputs) {
    StoredTable &table = collection.tables[output.table];
    std::string prefix = output.feature + "@";
    if (!table.isNamed && output.key.rfind(prefix, 0) == 0) {
      table.name = output.key.substr(prefix.size());
      table.isNamed = true;
    }
  }
  for (StoredTable &table : collection.tables)
    if (!table.isNamed && !table.features.empty())
      table.name = "t_" + table.features.front();
}

Collection ModuleReader::readCollection(Node *keyed,
                                        const std::vector<Value *> &parts) {
  Collection collection;
  Value *batch = nullptr;
  std::set<std::string> paths;
  std::set<bool> weighted;
  for (Value *part : parts) {
    if (!isLookup(part->node()))
      fail(
          "expected a KeyedTensor of lookups alone, got one with a result of " +
          std::string(part->node()->kind().toQualString()) + " as well");
    claimed.insert(part->node());
    if (isSequenceLookup(place, part->node()))
      fail("expected pooled lookups in a KeyedTensor, got one with pooling "
           "NONE");
    Lookup lookup = readLookup(place, part->node());
    BatchOrigin origin = findOrigin(place, lookup);
    if (batch && batch != origin.batch)
      fail("expected one batch for all lookups of a KeyedTensor, got two");
    batch = origin.batch;
    weighted.insert(origin.weighted);
    paths.insert(lookup.collectionPath.value_or(place.path));
    addLookup(collection, lookup, origin);
  }
  if (weighted.size() > 1)
    fail("expected all lookups of a KeyedTensor to be weighted or none, got "
         "both");
  collection.weighted = *weighted.begin();
  collection.path = paths.size() == 1 ? *paths.begin() : place.path;
  addOutputs(collection, keyed);
  nameTables(collection);
  return collection;
}

void ModuleReader::refuseUnclaimed(torch::jit::Graph &graph) const {
  walkNodes(graph.block(), [&](Node *node) {
    if (!isLookup(node) || claimed.count(node))
      return;
    if (isSequenceLookup(place, node))
      throw ReadError(
          describeLookup(place, node) +
          ": expected embedding bag collections, got an EmbeddingCollection, "
          "which gives one embedding per id; save the bag collections alone");
    throw ReadError(
        describeLookup(place, node) +
        ": expected every lookup to be part of a KeyedTensor as a traced "
        "collection of torchrec.quant makes it, got one that is not; save the "
        "module as traced, neither frozen nor optimized");
  });
}

std::vector<Collection> ModuleReader::read() {
  std::vector<Collection> collections;
  auto method = place.module.find_method("forward");
  if (!method)
    return collections;
  std::shared_ptr<torch::jit::Graph> graph = method->graph();
  walkNodes(graph->block(), [&](Node *node) {
    if (!isKeyedTensor(node))
      return;
    std::vector<Value *> parts = findParts(node);
    if (std::any_of(parts.begin(), parts.end(),
                    [](Value *part) { return isLookup(part->node()); }))
      collections.push_back(readCollection(node, parts));
  });
  refuseUnclaimed(*graph);
  return collections;
}

/// Lookups outside of any module's forward.
static void refuseUnclaimed(const Archive &archive,
                            const std::set<Node *> &claimed) {
  for (torch::jit::Function *function : archive.unit->get_functions()) {
    std::string name = pythonName(function->qualname());
    // A table batch's own method is what the calls of it stand for.
    if (name.find("IntNBitTableBatchedEmbeddingBagsCodegen.") !=
        std::string::npos)
      continue;
    walkNodes(torch::jit::toGraphFunction(*function).graph()->block(),
              [&](Node *node) {
                if (isLookup(node) && !claimed.count(node))
                  throw ReadError("function '" + name +
                                  "': expected lookups in the forward of "
                                  "modules, got one here");
              });
  }
}

static bool isSame(const Collection &left, const Collection &right) {
  auto hasSameRows = [](const StoredTable &a, const StoredTable &b) {
    return a.data == b.data && a.name == b.name;
  };
  auto isSameOutput = [](const StoredOutput &a, const StoredOutput &b) {
    return a.key == b.key && a.table == b.table && a.feature == b.feature;
  };
  return std::equal(left.tables.begin(), left.tables.end(),
                    right.tables.begin(), right.tables.end(), hasSameRows) &&
         std::equal(left.outputs.begin(), left.outputs.end(),
                    right.outputs.begin(), right.outputs.end(), isSameOutput);
}

/// A collection that is called twice is one; different ones of one name, which
/// tracing has put into their parent, are told apart by number.
static void nameCollections(std::vector<Collection> &collections) {
  std::map<std::string, std::vector<Collection>> byPath;
  std::vector<std::string> order;
  for (Collection &collection : collections) {
    std::vector<Collection> &others = byPath[collection.path];
    if (others.empty())
      order.push_back(collection.path);
    if (std::none_of(others.begin(), others.end(), [&](const auto &other) {
          return isSame(other, collection);
        }))
      others.push_back(std::move(collection));
  }
  collections.clear();
  for (const std::string &path : order) {
    std::vector<Collection> &found = byPath[path];
    for (size_t i = 0; i < found.size(); ++i) {
      std::string number = "collection" + std::to_string(i);
      if (found.size() > 1)
        found[i].path = path.empty() ? number : path + "." + number;
      collections.push_back(std::move(found[i]));
    }
  }
}

static std::vector<Collection> readAll(const std::string &path) {
  Archive archive = loadArchive(path);
  std::vector<Collection> collections;
  std::set<Node *> claimed;
  walkModules(archive.module, "", [&](const auto &module, const auto &name) {
    if (!isTableBatch(module.type()))
      for (Collection &found : ModuleReader({module, name}, claimed).read())
        collections.push_back(std::move(found));
  });
  refuseUnclaimed(archive, claimed);
  if (collections.empty())
    throw ReadError("expected a quantized EmbeddingBagCollection, got an "
                    "archive without one; quantize the model before tracing "
                    "it");
  nameCollections(collections);
  return collections;
}

ReadResult mlir::trec::readCollections(const std::string &path) {
  try {
    return {readAll(path), ""};
  } catch (const ReadError &error) {
    return {{}, path + ": " + error.what()};
  } catch (const std::exception &error) {
    return {{}, path + ": cannot be understood: " + error.what()};
  }
}
