//===- Interpreter.cpp - The executable meaning of trec IR ----------------===//
//
// Walks `@forward` and gives each result the value that its op computes.
//
//===----------------------------------------------------------------------===//

#include "trec/Reference/Interpreter.h"

#include "OpMeanings.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {

class Interpreter {
public:
  Interpreter(ModuleOp module, ArrayRef<Batch> batches, const TableMap &tables)
      : symbols(module), batches(batches), tables(tables) {}

  Expected<Outputs> run(func::FuncOp forward);

private:
  Expected<RuntimeValue> evaluate(Operation &op);
  Expected<RuntimeValue> evaluateOp(FeatureOp op);
  Expected<RuntimeValue> evaluateOp(SampleWeightsOp op);
  Expected<RuntimeValue> evaluateOp(PositionWeightsOp op);
  Expected<RuntimeValue> evaluateOp(CheckBoundsOp op);
  Expected<RuntimeValue> evaluateOp(RemapOp op);
  Expected<RuntimeValue> evaluateOp(LookupOp op);
  Expected<RuntimeValue> evaluateOp(DequantizeOp op);
  Expected<RuntimeValue> evaluateOp(WeightOp op);
  Expected<RuntimeValue> evaluateOp(PoolOp op);
  Expected<RuntimeValue> evaluateOp(MaterializeOp op);
  Expected<RuntimeValue> evaluateOp(StoredBytesOp op);
  Expected<RuntimeValue> evaluateOp(CastOutputOp op);
  Expected<RuntimeValue> evaluateOp(KeyedTensorOp op);
  Expected<RuntimeValue> evaluateOp(JaggedDictOp op);
  Expected<RuntimeValue> evaluateOp(RegroupOp op);
  Expected<RuntimeValue> evaluateOp(EmbeddingBagOp op);
  Expected<RuntimeValue> evaluateOp(EmbeddingOp op);
  Expected<RuntimeValue> evaluateOp(EmptyOp op);
  Expected<RuntimeValue> evaluateOp(EmbeddingBagGroupOp op);
  Expected<RuntimeValue> evaluateOp(EmbeddingGroupOp op);

  Expected<BoundTable> bindTable(StringRef name);
  Expected<ArrayRef<uint8_t>> bindParameter(StringRef name);
  Expected<BoundMap> bindMap(StringRef name);
  Expected<Ids> checkIds(const Ids &ids, BoundsPolicy policy, StringRef name);
  Expected<Ids> remapByParameter(const Ids &ids, StringRef map);
  Expected<Rows> findRows(const Ids &ids, BoundsPolicy policy, StringRef table,
                          StringRef map);
  Expected<Weights> weighByPosition(const Ids &ids, StringRef parameter);
  Expected<Matrix> runBag(EmbeddingBagGroupOp group, BagAttr bag);
  Outputs collect(func::ReturnOp op);

  template <typename T> const T &get(Value value) {
    return std::get<T>(values.find(value)->second);
  }

  SymbolTable symbols;
  const Batch &getBatch(Value kjt) {
    return batches[get<BatchIndex>(kjt).index];
  }
  int64_t getBatchSize() const { return batches.front().batchSize; }

  ArrayRef<Batch> batches;
  const TableMap &tables;
  DenseMap<Value, RuntimeValue> values;
  /// Rows of zeros for tables that have no row 0 for a bad id.
  std::vector<std::vector<uint8_t>> zeroRows;
  std::vector<BadId> badIds;
};

} // namespace

template <typename T> static Expected<RuntimeValue> lift(Expected<T> value) {
  if (!value)
    return value.takeError();
  return RuntimeValue(std::move(*value));
}

Expected<BoundTable> Interpreter::bindTable(StringRef name) {
  TableType type = symbols.lookup<TableOp>(name).getType();
  int64_t rowBytes = type.getRowType().getRowBytes();
  auto found = tables.find(name);
  if (found == tables.end())
    return createStringError("expected rows for table \"" + name +
                             "\", got none");
  const TableData &data = found->second;
  if (!type.hasDynamicRows() && data.rows != type.getRows())
    return createStringError("expected " + Twine(type.getRows()) +
                             " rows of table \"" + name + "\", got " +
                             Twine(data.rows));
  if (int64_t(data.bytes.size()) != data.rows * rowBytes)
    return createStringError("expected " + Twine(data.rows * rowBytes) +
                             " bytes of table \"" + name + "\", got " +
                             Twine(data.bytes.size()));
  if (data.rows > 0)
    return BoundTable{name, type.getRowType(), data.bytes.data(), data.rows};
  zeroRows.emplace_back(rowBytes, 0);
  return BoundTable{name, type.getRowType(), zeroRows.back().data(), 0};
}

Expected<ArrayRef<uint8_t>> Interpreter::bindParameter(StringRef name) {
  auto parameter = symbols.lookup<ParameterOp>(name);
  auto found = tables.find(name);
  if (found == tables.end())
    return createStringError("expected elements of parameter \"" + name +
                             "\", got none");
  const TableData &data = found->second;
  int64_t entries = parameter.getNumEntries().value_or(data.rows);
  int64_t size = entries * parameter.getEntryBytes();
  if (int64_t(data.bytes.size()) != size)
    return createStringError("expected " + Twine(size) +
                             " bytes of parameter \"" + name + "\", got " +
                             Twine(data.bytes.size()));
  return data.bytes;
}

template <typename To, typename From = To>
static std::vector<To> convert(ArrayRef<uint8_t> bytes) {
  std::vector<From> elements(bytes.size() / sizeof(From));
  std::memcpy(elements.data(), bytes.data(), bytes.size());
  return std::vector<To>(elements.begin(), elements.end());
}

Expected<RuntimeValue> Interpreter::evaluateOp(FeatureOp op) {
  return lift(takeFeature(getBatch(op.getKjt()), op.getKey(), op.getLength()));
}

Expected<RuntimeValue> Interpreter::evaluateOp(SampleWeightsOp op) {
  return lift(takeSampleWeights(getBatch(op.getKjt()), op.getKey()));
}

Expected<Weights> Interpreter::weighByPosition(const Ids &ids,
                                               StringRef parameter) {
  Expected<ArrayRef<uint8_t>> bytes = bindParameter(parameter);
  if (!bytes)
    return bytes.takeError();
  return weightByPosition(ids, convert<float>(*bytes));
}

Expected<RuntimeValue> Interpreter::evaluateOp(PositionWeightsOp op) {
  return lift(weighByPosition(get<Ids>(op.getIds()), op.getParameter()));
}

Expected<BoundMap> Interpreter::bindMap(StringRef name) {
  Expected<ArrayRef<uint8_t>> bytes = bindParameter(name);
  if (!bytes)
    return bytes.takeError();
  MapAttr map = symbols.lookup<ParameterOp>(name).getMapAttr();
  return BoundMap{map, map.getElementType().isInteger(32)
                           ? convert<int64_t, int32_t>(*bytes)
                           : convert<int64_t>(*bytes)};
}

/// Checks ids against what `name` is: a table, or a map.
Expected<Ids> Interpreter::checkIds(const Ids &ids, BoundsPolicy policy,
                                    StringRef name) {
  if (!symbols.lookup<ParameterOp>(name)) {
    Expected<BoundTable> table = bindTable(name);
    return table ? checkBounds(ids, policy, *table, badIds)
                 : Expected<Ids>(table.takeError());
  }
  Expected<BoundMap> map = bindMap(name);
  if (!map)
    return map.takeError();
  std::optional<int64_t> numIds = map->getNumIds();
  if (!numIds)
    return ids;
  return checkBounds(ids, policy, {name, RowType(), nullptr, *numIds}, badIds);
}

Expected<RuntimeValue> Interpreter::evaluateOp(CheckBoundsOp op) {
  return lift(checkIds(get<Ids>(op.getIds()), op.getPolicy(), op.getTable()));
}

Expected<Ids> Interpreter::remapByParameter(const Ids &ids, StringRef name) {
  Expected<BoundMap> map = bindMap(name);
  return map ? remapIds(ids, *map) : Expected<Ids>(map.takeError());
}

Expected<RuntimeValue> Interpreter::evaluateOp(RemapOp op) {
  return lift(remapByParameter(get<Ids>(op.getIds()), op.getMap()));
}

Expected<RuntimeValue> Interpreter::evaluateOp(LookupOp op) {
  Expected<BoundTable> table = bindTable(op.getTable());
  if (!table)
    return table.takeError();
  return lookupRows(get<Ids>(op.getIds()), *table);
}

Expected<RuntimeValue> Interpreter::evaluateOp(DequantizeOp op) {
  return dequantizeRows(get<Rows>(op.getRows()));
}

Expected<RuntimeValue> Interpreter::evaluateOp(WeightOp op) {
  return weightRows(get<DequantizedRows>(op.getValues()),
                    get<Weights>(op.getWeights()));
}

Expected<RuntimeValue> Interpreter::evaluateOp(PoolOp op) {
  return poolRows(get<DequantizedRows>(op.getValues()), op.getPooling());
}

static Type getElementOfRows(Value rows) {
  return cast<VectorType>(cast<JaggedType>(rows.getType()).getElement())
      .getElementType();
}

Expected<RuntimeValue> Interpreter::evaluateOp(MaterializeOp op) {
  return materializeRows(get<DequantizedRows>(op.getValues()),
                         getElementOfRows(op.getRows()));
}

Expected<RuntimeValue> Interpreter::evaluateOp(StoredBytesOp op) {
  return copyRows(get<Rows>(op.getRows()));
}

Expected<RuntimeValue> Interpreter::evaluateOp(CastOutputOp op) {
  return castMatrix(
      get<Matrix>(op.getPooled()),
      cast<RankedTensorType>(op.getResult().getType()).getElementType());
}

Expected<RuntimeValue> Interpreter::evaluateOp(KeyedTensorOp op) {
  KeyedTensorType type = op.getKeyed().getType();
  Matrix output =
      makeOutput(type.getTotalDim(), type.getElement(), getBatchSize());
  int64_t column = 0;
  for (Value operand : op.getPooled()) {
    const Matrix &pooled = get<Matrix>(operand);
    writeColumns(output, column, pooled);
    column += pooled.columns;
  }
  return output;
}

Expected<RuntimeValue> Interpreter::evaluateOp(JaggedDictOp op) {
  JaggedDict dict;
  for (Value operand : op.getRows())
    dict.rows.push_back(get<OutputRows>(operand));
  return dict;
}

Expected<RuntimeValue> Interpreter::evaluateOp(RegroupOp op) {
  DenseMap<Attribute, Matrix> byKey;
  for (Value operand : op.getKeyed()) {
    auto type = cast<KeyedTensorType>(operand.getType());
    int64_t column = 0;
    for (auto [key, dim] : llvm::zip(type.getKeys(), type.getDims())) {
      byKey[key] = takeColumns(get<Matrix>(operand), column, dim);
      column += dim;
    }
  }
  TensorDictType type = op.getDict().getType();
  TensorDict dict;
  for (auto [group, dim] :
       llvm::zip(op.getGroups().getAsRange<ArrayAttr>(), type.getDims())) {
    Matrix &output = dict.tensors.emplace_back(
        makeOutput(dim, type.getElement(), getBatchSize()));
    int64_t column = 0;
    for (Attribute key : group) {
      writeColumns(output, column, byKey[key]);
      column += byKey[key].columns;
    }
  }
  return dict;
}

/// What the fused ops begin with: trec.check_bounds, trec.remap where there is
/// a map, and trec.lookup.
Expected<Rows> Interpreter::findRows(const Ids &ids, BoundsPolicy policy,
                                     StringRef name, StringRef map) {
  Expected<BoundTable> table = bindTable(name);
  if (!table)
    return table.takeError();
  Expected<Ids> checked = checkIds(ids, policy, map.empty() ? name : map);
  if (checked && !map.empty())
    checked = remapByParameter(*checked, map);
  if (!checked)
    return checked.takeError();
  return lookupRows(*checked, *table);
}

/// What the fused ops without pooling end with: trec.stored_bytes where the
/// output is of bytes, else trec.dequantize and trec.materialize.
static OutputRows makeOutputRows(const Rows &rows, Type element) {
  if (element.isInteger(8))
    return copyRows(rows);
  return materializeRows(dequantizeRows(rows), element);
}

Expected<RuntimeValue> Interpreter::evaluateOp(EmbeddingBagOp op) {
  Expected<Rows> rows = findRows(get<Ids>(op.getIds()), op.getPolicy(),
                                 op.getTable(), op.getRemap().value_or(""));
  if (!rows)
    return rows.takeError();
  DequantizedRows values = dequantizeRows(*rows);
  if (op.getWeights())
    values = weightRows(values, get<Weights>(op.getWeights()));
  if (op.getPositionWeights()) {
    Expected<Weights> weights =
        weighByPosition(get<Ids>(op.getIds()), *op.getPositionWeights());
    if (!weights)
      return weights.takeError();
    values = weightRows(values, *weights);
  }
  auto type = cast<RankedTensorType>(op.getPooled().getType());
  return castMatrix(poolRows(values, op.getPooling()), type.getElementType());
}

Expected<RuntimeValue> Interpreter::evaluateOp(EmbeddingOp op) {
  Expected<Rows> rows = findRows(get<Ids>(op.getIds()), op.getPolicy(),
                                 op.getTable(), op.getRemap().value_or(""));
  if (!rows)
    return rows.takeError();
  return makeOutputRows(*rows, getElementOfRows(op.getRows()));
}

/// The name of the map of a bag, empty where it has none.
static StringRef getRemap(BagAttr bag) {
  return bag.getRemap() ? bag.getRemap().getValue() : StringRef();
}

Expected<RuntimeValue> Interpreter::evaluateOp(EmptyOp op) {
  Type type = op.getOutput().getType();
  if (auto keyed = dyn_cast<KeyedTensorType>(type))
    return makeOutput(keyed.getTotalDim(), keyed.getElement(), getBatchSize());
  if (auto groups = dyn_cast<TensorDictType>(type)) {
    TensorDict tensors;
    for (int64_t dim : groups.getDims())
      tensors.tensors.push_back(
          makeOutput(dim, groups.getElement(), getBatchSize()));
    return tensors;
  }
  JaggedDict dict;
  dict.rows.resize(cast<JaggedDictType>(type).getKeys().size());
  return dict;
}

Expected<RuntimeValue> Interpreter::evaluateOp(EmbeddingGroupOp op) {
  JaggedDict dict = get<JaggedDict>(op.getDest());
  for (auto bag : op.getBags().getAsRange<BagAttr>()) {
    Expected<Ids> ids = takeFeature(
        getBatch(op.getKjt()), bag.getFeature().getValue(), bag.getLength());
    if (!ids)
      return ids.takeError();
    Expected<Rows> rows = findRows(*ids, op.getPolicy(),
                                   bag.getTable().getValue(), getRemap(bag));
    if (!rows)
      return rows.takeError();
    dict.rows[bag.getColumn()] = makeOutputRows(*rows, op.getOutputElement());
  }
  return dict;
}

Expected<Matrix> Interpreter::runBag(EmbeddingBagGroupOp group, BagAttr bag) {
  const Batch &batch = getBatch(group.getKjts()[bag.getBatch()]);
  Expected<Ids> ids =
      takeFeature(batch, bag.getFeature().getValue(), bag.getLength());
  if (!ids)
    return ids.takeError();
  size_t numBadIds = badIds.size();
  Expected<Rows> rows = findRows(*ids, group.getPolicy(),
                                 bag.getTable().getValue(), getRemap(bag));
  if (!rows)
    return rows.takeError();
  DequantizedRows values = dequantizeRows(*rows);
  if (bag.getBadIds() == BadIds::repeated)
    badIds.resize(numBadIds);
  if (group.getWeighting() != Weighting::none) {
    Expected<Weights> weights =
        bag.getWeights()
            ? weighByPosition(*ids, bag.getWeights().getValue())
            : takeSampleWeights(batch, bag.getFeature().getValue());
    if (!weights)
      return weights.takeError();
    values = weightRows(values, *weights);
  }
  return castMatrix(poolRows(values, group.getPooling()),
                    group.getOutputElement());
}

Expected<RuntimeValue> Interpreter::evaluateOp(EmbeddingBagGroupOp op) {
  // A KeyedTensor is written as a dict of one tensor.
  auto *dict = std::get_if<TensorDict>(&values.find(op.getDest())->second);
  TensorDict output = dict ? *dict : TensorDict{{get<Matrix>(op.getDest())}};
  for (auto bag : op.getBags().getAsRange<BagAttr>()) {
    Expected<Matrix> pooled = runBag(op, bag);
    if (!pooled)
      return pooled.takeError();
    writeColumns(output.tensors[bag.getOutput()], bag.getColumn(), *pooled);
  }
  if (dict)
    return output;
  return output.tensors.front();
}

Expected<RuntimeValue> Interpreter::evaluate(Operation &op) {
  return TypeSwitch<Operation *, Expected<RuntimeValue>>(&op)
      .Case<FeatureOp, SampleWeightsOp, PositionWeightsOp, CheckBoundsOp,
            RemapOp, LookupOp, DequantizeOp, WeightOp, PoolOp, MaterializeOp,
            StoredBytesOp, CastOutputOp, KeyedTensorOp, JaggedDictOp, RegroupOp,
            EmbeddingBagOp, EmbeddingOp, EmptyOp, EmbeddingBagGroupOp,
            EmbeddingGroupOp>([&](auto op) { return evaluateOp(op); })
      .Default([](Operation *op) {
        return createStringError("op '" + op->getName().getStringRef() +
                                 "' has no meaning outside compiled code");
      });
}

Outputs Interpreter::collect(func::ReturnOp op) {
  Outputs outputs;
  outputs.badIds = std::move(badIds);
  Value result = op.getOperand(0);
  if (auto type = dyn_cast<JaggedDictType>(result.getType())) {
    JaggedDict &dict = std::get<JaggedDict>(values[result]);
    for (auto [key, rows] : llvm::zip(type.getKeys(), dict.rows)) {
      JaggedOutput output{key.str(), std::move(rows.bytes), {}};
      for (size_t i = 1; i < rows.offsets.size(); ++i)
        output.lengths.push_back(rows.offsets[i] - rows.offsets[i - 1]);
      outputs.jagged.push_back(std::move(output));
    }
    return outputs;
  }
  if (auto type = dyn_cast<TensorDictType>(result.getType())) {
    TensorDict &dict = std::get<TensorDict>(values[result]);
    for (auto [key, tensor] : llvm::zip(type.getKeys(), dict.tensors))
      outputs.tensors.push_back({key.str(), std::move(tensor.bytes)});
    return outputs;
  }
  outputs.bytes = std::move(std::get<Matrix>(values[result]).bytes);
  return outputs;
}

Expected<Outputs> Interpreter::run(func::FuncOp forward) {
  Block &body = forward.getBody().front();
  for (BlockArgument kjt : body.getArguments())
    values[kjt] = BatchIndex{kjt.getArgNumber()};
  for (Operation &op : body.without_terminator()) {
    Expected<RuntimeValue> value = evaluate(op);
    if (!value)
      return value.takeError();
    values[op.getResult(0)] = std::move(*value);
  }
  return collect(cast<func::ReturnOp>(body.getTerminator()));
}

static bool hasMeaning(func::FuncOp forward) {
  FunctionType type = forward.getFunctionType();
  return forward.getBody().hasOneBlock() && type.getNumInputs() > 0 &&
         llvm::all_of(type.getInputs(), llvm::IsaPred<KJTType>) &&
         type.getNumResults() == 1 &&
         isa<KeyedTensorType, JaggedDictType, TensorDictType>(
             type.getResult(0));
}

Expected<Outputs> mlir::trec::interpret(ModuleOp module,
                                        ArrayRef<Batch> batches,
                                        const TableMap &tables) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward || !hasMeaning(forward))
    return createStringError("expected a function @forward of one block that "
                             "takes a batch and returns an output");
  if (Error error = checkBatches(batches, forward.getNumArguments()))
    return error;
  return Interpreter(module, batches, tables).run(forward);
}
