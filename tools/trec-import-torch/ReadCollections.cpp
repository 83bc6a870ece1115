//===- ReadCollections.cpp - The collections of an archive ----------------===//
//
// Every KeyedTensor that is made of lookups is a collection, and so are the
// JaggedTensors of lookups that share one split of a batch. A lookup that is
// part of none is an error: what is not understood is never left out.
//
//===----------------------------------------------------------------------===//

#include "CollectionBuilder.h"
#include "Sequences.h"

#include <algorithm>
#include <map>

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;

static const char keyedClass[] = "torchrec.sparse.jagged_tensor.KeyedTensor";
static const char concatFunction[] =
    "torchrec.quant.embedding_modules._cat_embeddings";

namespace {

/// A lookup without pooling, and what is made of it.
struct Sequence {
  Lookup lookup;
  BatchOrigin origin;
  std::vector<JaggedOutput> outputs;
};

/// Reads the collections that one module's forward makes.
class ModuleReader {
public:
  ModuleReader(Place place, std::set<Node *> &claimed)
      : place(std::move(place)), claimed(claimed) {}

  std::vector<Collection> read();

private:
  std::vector<Value *> findParts(Node *keyed) const;
  Collection readBags(Node *keyed, const std::vector<Value *> &parts);
  void readKeys(CollectionBuilder &builder, Node *keyed) const;
  std::vector<Sequence> findSequences(torch::jit::Graph &graph);
  Collection readSequences(std::vector<Sequence *> sequences) const;
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

/// The keys and dims that a KeyedTensor says, one for each output.
void ModuleReader::readKeys(CollectionBuilder &builder, Node *keyed) const {
  Value *keysValue = findArgument(keyed, "keys");
  Value *dimsValue = findArgument(keyed, "length_per_key");
  auto keys =
      keysValue ? evaluateStrings(place.module, keysValue) : std::nullopt;
  auto dims =
      dimsValue ? evaluateIntegers(place.module, dimsValue) : std::nullopt;
  if (!keys || !dims)
    fail("expected a KeyedTensor with constant keys and length_per_key, got "
         "computed ones");
  const std::vector<StoredOutput> &outputs = builder.get().outputs;
  if (keys->size() != outputs.size() || dims->size() != outputs.size())
    fail("expected a KeyedTensor of " + std::to_string(outputs.size()) +
         " keys, one for each feature looked up, got " +
         std::to_string(keys->size()) + " keys and " +
         std::to_string(dims->size()) + " lengths");
  for (size_t i = 0; i < keys->size(); ++i) {
    int64_t dim = builder.get().tables[outputs[i].table].dim;
    if ((*dims)[i] != dim)
      fail("key '" + (*keys)[i] + "': expected length_per_key to be " +
           std::to_string(dim) + ", the table's dim, got " +
           std::to_string((*dims)[i]));
    builder.readKey(i, (*keys)[i]);
    builder.setKey(i, (*keys)[i]);
  }
}

Collection ModuleReader::readBags(Node *keyed,
                                  const std::vector<Value *> &parts) {
  CollectionBuilder builder(place);
  for (Value *part : parts) {
    if (!isLookup(part->node()))
      fail(
          "expected a KeyedTensor of lookups alone, got one with a result of " +
          std::string(part->node()->kind().toQualString()) + " as well");
    claimed.insert(part->node());
    Lookup lookup = readLookup(place, part->node());
    if (!lookup.isPooled)
      fail("expected pooled lookups in a KeyedTensor, got one with pooling "
           "NONE");
    builder.add(lookup, findOrigin(place, lookup));
  }
  readKeys(builder, keyed);
  builder.nameTables();
  return builder.take();
}

/// The lookups without pooling whose rows become JaggedTensors.
std::vector<Sequence> ModuleReader::findSequences(torch::jit::Graph &graph) {
  std::vector<Sequence> sequences;
  for (JaggedOutput &output : findJaggedOutputs(place.module, graph)) {
    auto known = std::find_if(
        sequences.begin(), sequences.end(),
        [&](const auto &other) { return other.lookup.node == output.lookup; });
    if (known == sequences.end()) {
      Lookup lookup = readLookup(place, output.lookup);
      if (lookup.isPooled)
        fail("expected lookups without pooling in a JaggedTensor, got pooled "
             "ones");
      BatchOrigin origin = findOrigin(place, lookup);
      if (origin.weighted || !origin.positionWeights.empty())
        fail("expected lookups without pooling to have no weights, got some");
      claimed.insert(output.lookup);
      known = sequences.insert(known, {std::move(lookup), origin, {}});
    }
    if (output.share != known->origin.share)
      fail("expected rows that are cut by the lengths of their own ids, got "
           "lengths of others");
    known->outputs.push_back(std::move(output));
  }
  return sequences;
}

/// One EmbeddingCollection: the lookups of one split of its batch.
Collection
ModuleReader::readSequences(std::vector<Sequence *> sequences) const {
  std::sort(sequences.begin(), sequences.end(), [](auto *left, auto *right) {
    return left->origin.part < right->origin.part;
  });
  CollectionBuilder builder(place);
  std::vector<std::pair<size_t, const JaggedOutput *>> outputs;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const BatchOrigin &origin = sequences[i]->origin;
    if (origin.part != i || origin.numParts != sequences.size())
      fail("expected one lookup for each of the " +
           std::to_string(origin.numParts) + " parts of a batch, got " +
           std::to_string(sequences.size()) + " for other parts");
    for (const JaggedOutput &output : sequences[i]->outputs)
      outputs.push_back(
          {builder.get().outputs.size() + output.feature, &output});
    builder.add(sequences[i]->lookup, origin);
  }
  for (auto [index, output] : outputs) {
    if (index >= builder.get().outputs.size())
      fail("expected as many cuts of rows as features, got more");
    for (const std::string &key : output->keys)
      builder.readKey(index, key);
  }
  builder.nameTables();
  builder.nameOutputs();
  return builder.take();
}

void ModuleReader::refuseUnclaimed(torch::jit::Graph &graph) const {
  walkNodes(graph.block(), [&](Node *node) {
    if (!isLookup(node) || claimed.count(node))
      return;
    // What is wrong with the lookup itself says more.
    readLookup(place, node);
    throw ReadError(
        describeLookup(place, node) +
        ": expected every lookup to be part of a KeyedTensor, or of "
        "JaggedTensors by feature, as a traced collection of torchrec.quant "
        "makes them, got one that is not; save the module as traced, neither "
        "sharded, frozen nor optimized");
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
      collections.push_back(readBags(node, parts));
  });
  std::vector<Sequence> sequences = findSequences(*graph);
  refuseUnclaimed(*graph);
  std::vector<Node *> splits;
  std::map<Node *, std::vector<Sequence *>> bySplit;
  for (Sequence &sequence : sequences) {
    if (!bySplit.count(sequence.origin.split))
      splits.push_back(sequence.origin.split);
    bySplit[sequence.origin.split].push_back(&sequence);
  }
  for (Node *split : splits)
    collections.push_back(readSequences(bySplit[split]));
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

static bool isSame(const std::optional<StoredMap> &left,
                   const std::optional<StoredMap> &right) {
  if (!left || !right)
    return left.has_value() == right.has_value();
  return left->kind == right->kind && left->entries == right->entries &&
         left->numIds == right->numIds &&
         std::equal(left->data, left->data + left->bytes, right->data);
}

static bool isSame(const Collection &left, const Collection &right) {
  auto hasSameRows = [](const StoredTable &a, const StoredTable &b) {
    return a.data == b.data && a.name == b.name && isSame(a.map, b.map);
  };
  auto isSameOutput = [](const StoredOutput &a, const StoredOutput &b) {
    return a.key == b.key && a.table == b.table && a.feature == b.feature;
  };
  auto hasSameWeights = [](const StoredPositionWeights &a,
                           const StoredPositionWeights &b) {
    return a.feature == b.feature && a.values == b.values;
  };
  return left.isPooled == right.isPooled && left.weighted == right.weighted &&
         std::equal(left.positionWeights.begin(), left.positionWeights.end(),
                    right.positionWeights.begin(), right.positionWeights.end(),
                    hasSameWeights) &&
         std::equal(left.tables.begin(), left.tables.end(),
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
    throw ReadError("expected a quantized EmbeddingBagCollection or "
                    "EmbeddingCollection, got an archive without one; quantize "
                    "the model before tracing it");
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
