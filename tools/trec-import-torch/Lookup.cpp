//===- Lookup.cpp - One call of FBGEMM's quantized lookup -----------------===//

#include "Lookup.h"

#include "Remapping.h"
#include "StoredValues.h"

#include <algorithm>

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;

static const char lookupOp[] =
    "fbgemm::int_nbit_split_embedding_codegen_lookup_function";
static const char boundsOp[] = "fbgemm::bounds_check_indices";
static const char arrayOp[] = "fbgemm::pruned_array_lookup";
static const char hashTableOp[] = "fbgemm::pruned_hashmap_lookup";
/// Bytes of scale and bias in a row; others exist for accelerators only.
static constexpr int64_t headerBytes = 4;

std::string mlir::trec::describeModule(const std::string &path) {
  return path.empty() ? "the archive's module" : "module '" + path + "'";
}

bool mlir::trec::isTableBatch(const c10::TypePtr &type) {
  return className(type) ==
         "fbgemm_gpu.split_table_batched_embeddings_ops_inference."
         "IntNBitTableBatchedEmbeddingBagsCodegen";
}

static bool isBatchCall(const Node *node) {
  return node->kind() == c10::prim::CallMethod &&
         node->s(c10::attr::name) == "forward" &&
         isTableBatch(node->input(0)->type());
}

static bool isOperatorCall(const Node *node) {
  return node->kind() == c10::Symbol::fromQualString(lookupOp);
}

bool mlir::trec::isLookup(const Node *node) {
  return isBatchCall(node) || isOperatorCall(node);
}

/// An argument that the caller must have given.
static Value *getArgument(Node *call, const char *name,
                          const std::string &where) {
  Value *value = findArgument(call, name);
  if (!value)
    throw ReadError(where + ": expected a lookup with an argument '" + name +
                    "', got one of another release of FBGEMM");
  return value;
}

namespace {

/// Reads the operator's form.
class OperatorReader {
public:
  OperatorReader(const Place &place, Node *node)
      : place(place), node(node), where(describeModule(place.path)) {}

  Lookup read();

private:
  int64_t readInteger(Node *call, const char *name) const;
  at::Tensor readTensor(Node *call, const char *name) const;
  std::vector<int64_t> readTensorIntegers(Node *call, const char *name) const;
  Node *findBoundsCheck(Value *indices) const;
  Remapping readRemapping(Value *&indices) const;
  void readTables(Lookup &lookup, const std::vector<int64_t> &rows) const;

  const Place &place;
  Node *node;
  std::string where;
};

/// Reads the module's form.
class BatchReader {
public:
  BatchReader(const Place &place, Node *node);

  Lookup read();

private:
  Remapping readRemapping() const;
  StoredTable readTable(const c10::IValue &spec) const;
  void readTables(Lookup &lookup) const;

  Node *node;
  std::string where;
  Attributes batch;
};

} // namespace

/// The qualified name of the collection that owns a table batch: TorchRec
/// registers the batches as `<collection>.tbes.<n>`.
static std::string ownerPath(std::vector<std::string> batch) {
  batch.pop_back();
  if (!batch.empty() && batch.back() == "tbes")
    batch.pop_back();
  return joinPath(batch);
}

at::Tensor OperatorReader::readTensor(Node *call, const char *name) const {
  auto value = evaluate(place.module, getArgument(call, name, where));
  if (!value || !value->isTensor())
    throw ReadError(where + ": expected a lookup whose '" + name +
                    "' is a tensor of the archive, got a computed one");
  return value->toTensor();
}

std::vector<int64_t>
OperatorReader::readTensorIntegers(Node *call, const char *name) const {
  return readIntegers(readTensor(call, name), where + ": '" + name + "'");
}

int64_t OperatorReader::readInteger(Node *call, const char *name) const {
  auto value = evaluate(place.module, getArgument(call, name, where));
  if (!value || !value->isInt())
    throw ReadError(where + ": expected a lookup whose '" + name +
                    "' is a constant integer, got another value");
  return value->toInt();
}

/// The check of the ids that the lookup reads, or of those before pruning. It
/// alone knows the number of rows: the weights are padded.
Node *OperatorReader::findBoundsCheck(Value *indices) const {
  Node *found = nullptr;
  for (const torch::jit::Use &use : indices->uses())
    if (use.user->kind() == c10::Symbol::fromQualString(boundsOp) &&
        findArgument(use.user, "indices") == indices)
      found = use.user;
  if (!found)
    throw ReadError(where + ": expected a bounds check before the lookup, for "
                            "it holds the numbers of rows, got none; quantize "
                            "with register_tbes=True, or use trec.export");
  return found;
}

/// Features that start at one offset share a table.
void OperatorReader::readTables(Lookup &lookup,
                                const std::vector<int64_t> &rows) const {
  at::Tensor weights = readTensor(node, "dev_weights");
  std::vector<int64_t> offsets = readTensorIntegers(node, "weights_offsets");
  std::vector<int64_t> types = readTensorIntegers(node, "weights_tys");
  std::vector<int64_t> columns = readTensorIntegers(node, "D_offsets");
  if (rows.size() != offsets.size() || types.size() != offsets.size() ||
      columns.size() != offsets.size() + 1)
    throw ReadError(where +
                    ": expected tensors for as many features as there "
                    "are offsets of weights, " +
                    std::to_string(offsets.size()) + ", got " +
                    std::to_string(rows.size()) + " rows, " +
                    std::to_string(types.size()) + " types and " +
                    std::to_string(columns.size()) + " column offsets");
  std::string pooling = poolingName(readInteger(node, "pooling_mode"), where);
  lookup.isPooled = pooling != "none";
  for (size_t i = 0; i < offsets.size(); ++i) {
    StoredTable table;
    table.rows = rows[i];
    table.dim = columns[i + 1] - columns[i];
    table.dtype = weightsTypeName(types[i], where);
    if (table.dtype == "fp8")
      checkFP8(readInteger(node, "fp8_exponent_bits"),
               readInteger(node, "fp8_exponent_bias"), where);
    table.pooling = pooling;
    table.rowAlignment = readInteger(node, "row_alignment");
    bindRows(table, weights, offsets[i], where);
    auto same = std::find_if(
        lookup.tables.begin(), lookup.tables.end(),
        [&](const StoredTable &other) { return other.data == table.data; });
    if (same != lookup.tables.end() && (same->rows == 0 || table.rows == 0))
      throw ReadError(where + ": expected tables with rows, got one without, "
                              "which cannot be told from its neighbour");
    lookup.featureTables.push_back(same - lookup.tables.begin());
    if (same == lookup.tables.end())
      lookup.tables.push_back(table);
    else if (same->rows != table.rows || same->dim != table.dim ||
             same->dtype != table.dtype)
      throw ReadError(where + ": expected one table at offset " +
                      std::to_string(offsets[i]) +
                      " of the weights, got two that differ");
  }
}

/// Goes back from ids that are rows to those that were mapped to them.
Remapping OperatorReader::readRemapping(Value *&indices) const {
  Remapping remapping;
  Node *call = indices->node();
  auto bindTensor = [&](const char *entries, const char *places) {
    remapping.stored = readTensor(call, entries);
    remapping.places = readTensorIntegers(call, places);
    indices = getArgument(call, "indices", where);
  };
  if (call->kind() == c10::Symbol::fromQualString(arrayOp)) {
    remapping.kind = Remapping::Kind::array;
    bindTensor("index_remappings", "index_remappings_offsets");
  } else if (call->kind() == c10::Symbol::fromQualString(hashTableOp)) {
    remapping.kind = Remapping::Kind::hashTable;
    bindTensor("hash_table", "hash_table_offsets");
  } else if (findMethodCall(indices, prunedMapClass, "lookup")) {
    remapping.kind = Remapping::Kind::object;
    remapping.stored =
        evaluate(place.module, call->input(0)).value_or(c10::IValue());
    indices = call->input(1);
  } else {
    return remapping;
  }
  remapping.numIds =
      readTensorIntegers(findBoundsCheck(indices), "rows_per_table");
  return remapping;
}

Lookup OperatorReader::read() {
  Lookup lookup;
  lookup.node = node;
  lookup.indices = getArgument(node, "indices", where);
  lookup.offsets = getArgument(node, "offsets", where);
  lookup.weights = getArgument(node, "indice_weights", where);
  lookup.outputType = outputTypeName(readInteger(node, "output_dtype"), where);
  Node *check = findBoundsCheck(lookup.indices);
  lookup.boundsCheck =
      boundsCheckName(readInteger(check, "bounds_check_mode"), where);
  readTables(lookup, readTensorIntegers(check, "rows_per_table"));
  bindMaps(lookup, readRemapping(lookup.indices), where);
  auto path = attributePath(getArgument(node, "dev_weights", where));
  // Traced through, a registered table batch leaves its name in those of its
  // tensors.
  if (path && path->size() >= 3 && (*path)[path->size() - 3] == "tbes") {
    path->pop_back();
    if (!place.path.empty())
      path->insert(path->begin(), place.path);
    lookup.collectionPath = ownerPath(*path);
  }
  return lookup;
}

static std::vector<std::string> batchPath(const Place &place, Node *node) {
  auto path = attributePath(node->input(0));
  if (!path || path->empty())
    throw ReadError(describeModule(place.path) +
                    ": expected a table batch that is a module of the archive, "
                    "got a computed one");
  if (!place.path.empty())
    path->insert(path->begin(), place.path);
  return *path;
}

std::string mlir::trec::describeLookup(const Place &place, Node *node) {
  return describeModule(isBatchCall(node) ? joinPath(batchPath(place, node))
                                          : place.path);
}

/// The table batch that is called, with its attributes.
static c10::intrusive_ptr<c10::ivalue::Object> findBatch(const Place &place,
                                                         Node *node) {
  auto value = evaluate(place.module, node->input(0));
  if (!value || !value->isObject())
    throw ReadError(describeLookup(place, node) +
                    ": expected a table batch that is stored, got one that "
                    "code of the archive would restore, which is never run");
  return value->toObject();
}

BatchReader::BatchReader(const Place &place, Node *node)
    : node(node), where(describeLookup(place, node)),
      batch(findBatch(place, node), where) {}

/// The first of the three that has anything, as FBGEMM's own forward chooses.
Remapping BatchReader::readRemapping() const {
  Remapping remapping;
  auto getIntegers = [&](const std::string &name) {
    return readIntegers(batch.getTensor(name.c_str()),
                        where + ": '" + name + "'");
  };
  auto tryTensor = [&](Remapping::Kind kind, const std::string &name) {
    if (remapping.kind != Remapping::Kind::none || !batch.has(name.c_str()) ||
        batch.getTensor(name.c_str()).numel() == 0)
      return;
    remapping.kind = kind;
    remapping.stored = batch.getTensor(name.c_str());
    remapping.places = getIntegers(name + "_offsets");
  };
  remapping.stored = batch.get("index_remapping_hash_table_cpu");
  if (!remapping.stored.isNone())
    remapping.kind = Remapping::Kind::object;
  tryTensor(Remapping::Kind::hashTable, "index_remapping_hash_table");
  tryTensor(Remapping::Kind::array, "index_remappings_array");
  if (remapping.kind != Remapping::Kind::none)
    remapping.numIds = getIntegers("original_rows_per_table");
  return remapping;
}

StoredTable BatchReader::readTable(const c10::IValue &spec) const {
  StoredTable table;
  auto expect = [&](bool isRight) {
    if (!isRight)
      throw ReadError(where +
                      ": expected embedding_specs of name, rows, dim, type and "
                      "location, got something else");
  };
  expect(spec.isTuple() && spec.toTupleRef().elements().size() == 5);
  const auto &fields = spec.toTupleRef().elements();
  expect(fields[0].isString() && fields[1].isInt() && fields[2].isInt() &&
         fields[3].isEnum() && fields[3].toEnumHolder()->value().isString());
  table.name = fields[0].toStringRef();
  table.isNamed = true;
  table.rows = fields[1].toInt();
  table.dim = fields[2].toInt();
  table.dtype = fields[3].toEnumHolder()->value().toStringRef();
  if (table.dtype == "fp8")
    checkFP8(batch.getInteger("fp8_exponent_bits"),
             batch.getInteger("fp8_exponent_bias"), where);
  table.pooling = poolingName(batch.getInteger("pooling_mode"), where);
  table.rowAlignment = batch.getInteger("row_alignment");
  return table;
}

void BatchReader::readTables(Lookup &lookup) const {
  c10::IValue specs = batch.get("embedding_specs");
  std::vector<int64_t> offsets = batch.getIntegers("weights_physical_offsets");
  if (!specs.isList() || specs.toListRef().size() != offsets.size())
    throw ReadError(where + ": expected embedding_specs for " +
                    std::to_string(offsets.size()) +
                    " tables, as many as there are offsets, got another "
                    "number");
  // As FBGEMM's own forward chooses.
  at::Tensor weights = batch.getTensor(
      batch.getInteger("host_size") > 0 ? "weights_host" : "weights_dev");
  for (size_t i = 0; i < offsets.size(); ++i) {
    lookup.tables.push_back(readTable(specs.toListRef()[i]));
    bindRows(lookup.tables.back(), weights, offsets[i],
             where + ", table '" + lookup.tables.back().name + "'");
  }
  for (int64_t table : batch.getIntegers("feature_table_map")) {
    if (table < 0 || size_t(table) >= offsets.size())
      throw ReadError(where + ": expected features of " +
                      std::to_string(offsets.size()) +
                      " tables, got one of table " + std::to_string(table));
    lookup.featureTables.push_back(table);
  }
}

Lookup BatchReader::read() {
  if (batch.has("scale_bias_size_in_bytes") &&
      batch.getInteger("scale_bias_size_in_bytes") != headerBytes)
    throw ReadError(
        where + ": expected rows with 4 bytes of scale and bias, got " +
        std::to_string(batch.getInteger("scale_bias_size_in_bytes")));
  Lookup lookup;
  lookup.node = node;
  lookup.indices = getArgument(node, "indices", where);
  lookup.offsets = getArgument(node, "offsets", where);
  lookup.weights = getArgument(node, "per_sample_weights", where);
  lookup.outputType = outputTypeName(batch.getInteger("output_dtype"), where);
  lookup.boundsCheck =
      boundsCheckName(batch.getInteger("bounds_check_mode_int"), where);
  lookup.isPooled =
      poolingName(batch.getInteger("pooling_mode"), where) != "none";
  readTables(lookup);
  bindMaps(lookup, readRemapping(), where);
  return lookup;
}

Lookup mlir::trec::readLookup(const Place &place, Node *node) {
  if (isOperatorCall(node))
    return OperatorReader(place, node).read();
  Lookup lookup = BatchReader(place, node).read();
  lookup.collectionPath = ownerPath(batchPath(place, node));
  return lookup;
}
