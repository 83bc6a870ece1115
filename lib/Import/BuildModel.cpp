//===- BuildModel.cpp - The only writer of import-level IR ----------------===//
//
// One chain of ops per output, nothing shared between them and nothing fused:
// the IR reads as the definition of the model. Several collections give a
// KeyedTensor each, and one regroup.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/BuildModel.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// Builds what the outputs of one collection are made of.
class CollectionBuilder {
public:
  CollectionBuilder(const ModelSpec &spec, const CollectionSpec &collection,
                    ImplicitLocOpBuilder &b)
      : spec(spec), collection(collection), b(b) {}

  void buildTables();
  void buildParameters();
  Value buildForward(Value kjt);
  Type getResultType();

private:
  void buildMap(const RemapSpec &remap);
  Value buildRowIds(const TableSpec &table, Value ids);
  Value buildRows(const OutputSpec &output, Value ids);
  Value buildFeature(StringRef name, Value kjt);
  Value buildOutput(const OutputSpec &output, Value kjt);
  Value buildWeights(const OutputSpec &output, Value kjt, Value ids);
  Value buildResult(const OutputSpec &output, Value values);
  Type getOutputElement();

  const ModelSpec &spec;
  const CollectionSpec &collection;
  ImplicitLocOpBuilder &b;
  /// Parallel to collection.tables.
  SmallVector<TableOp> tables;
};

class ModelBuilder {
public:
  ModelBuilder(const ModelSpec &spec, MLIRContext &context)
      : spec(spec), b(UnknownLoc::get(&context), &context) {
    for (const CollectionSpec &collection : spec.collections)
      collections.emplace_back(spec, collection, b);
  }

  OwningOpRef<ModuleOp> build();

private:
  void buildForward();
  Value buildRegroup(ValueRange keyed);
  SmallVector<StringAttr> getNames(ArrayRef<std::string> names);
  SmallVector<Type> getBatchTypes();
  Type getResultType();

  const ModelSpec &spec;
  ImplicitLocOpBuilder b;
  std::vector<CollectionBuilder> collections;
};

} // namespace

static TableType getTableType(MLIRContext *context, const TableSpec &table) {
  HeaderType header =
      isQuantized(table.weights) ? HeaderType::f16 : HeaderType::none;
  auto layout = RowLayoutAttr::get(context, header, table.rowAlignment);
  return TableType::get(context, table.rows.value_or(ShapedType::kDynamic),
                        table.dim, table.weights, layout);
}

Type CollectionBuilder::getOutputElement() {
  switch (spec.outputType) {
  case OutputType::float32:
    return b.getF32Type();
  case OutputType::float16:
    return b.getF16Type();
  case OutputType::bfloat16:
    return b.getBF16Type();
  case OutputType::uint8:
    return b.getI8Type();
  }
  llvm_unreachable("all output types are listed");
}

Type CollectionBuilder::getResultType() {
  SmallVector<StringAttr> keys;
  SmallVector<int64_t> dims;
  for (const OutputSpec &output : collection.outputs) {
    keys.push_back(b.getStringAttr(output.key));
    RowType row = tables[output.table].getType().getRowType();
    dims.push_back(row.getOutputDim(getOutputElement()));
  }
  if (!collection.isPooled)
    return JaggedDictType::get(b.getContext(), keys, dims, getOutputElement());
  return KeyedTensorType::get(b.getContext(), keys, dims, getOutputElement());
}

void CollectionBuilder::buildTables() {
  for (const TableSpec &table : collection.tables)
    tables.push_back(
        TableOp::create(b, b.getStringAttr(table.name),
                        TypeAttr::get(getTableType(b.getContext(), table))));
}

void CollectionBuilder::buildParameters() {
  for (const PositionWeightsSpec &weights : collection.positionWeights) {
    auto type = RankedTensorType::get({weights.length}, b.getF32Type());
    ParameterOp::create(b, b.getStringAttr(weights.name), MapAttr(),
                        TypeAttr::get(type));
  }
  for (const TableSpec &table : collection.tables)
    if (table.remap)
      buildMap(*table.remap);
}

void CollectionBuilder::buildMap(const RemapSpec &remap) {
  auto map = MapAttr::get(b.getContext(), remap.kind, remap.numIds);
  SmallVector<int64_t, 2> shape{remap.length.value_or(ShapedType::kDynamic)};
  if (map.getEntryWidth() > 1)
    shape.push_back(map.getEntryWidth());
  auto type = RankedTensorType::get(shape, map.getElementType());
  ParameterOp::create(b, b.getStringAttr(remap.name), map, TypeAttr::get(type));
}

/// The ids of an output as rows of its table: checked, and mapped where the
/// table has a map.
Value CollectionBuilder::buildRowIds(const TableSpec &table, Value ids) {
  auto policy = BoundsPolicyAttr::get(b.getContext(), spec.boundsCheck);
  auto symbol = FlatSymbolRefAttr::get(
      b.getStringAttr(table.remap ? table.remap->name : table.name));
  Value checked = CheckBoundsOp::create(b, policy, ids, symbol);
  if (!table.remap)
    return checked;
  return RemapOp::create(b, checked, symbol);
}

/// The weights of the ids of an output, or null where it has none.
Value CollectionBuilder::buildWeights(const OutputSpec &output, Value kjt,
                                      Value ids) {
  for (const PositionWeightsSpec &weights : collection.positionWeights)
    if (weights.feature == output.feature)
      return PositionWeightsOp::create(
          b, ids, FlatSymbolRefAttr::get(b.getStringAttr(weights.name)));
  if (!collection.weighted)
    return Value();
  return SampleWeightsOp::create(b, kjt, b.getStringAttr(output.feature));
}

/// From dequantized rows to what the output holds.
Value CollectionBuilder::buildResult(const OutputSpec &output, Value values) {
  const TableSpec &table = collection.tables[output.table];
  if (!collection.isPooled) {
    auto row = VectorType::get({table.dim}, getOutputElement());
    return MaterializeOp::create(b, JaggedType::get(b.getContext(), row),
                                 values);
  }
  auto pooling = PoolingAttr::get(b.getContext(), table.pooling);
  Value pooled = PoolOp::create(b, pooling, values);
  if (spec.outputType == OutputType::float32)
    return pooled;
  auto type = cast<RankedTensorType>(pooled.getType());
  return CastOutputOp::create(b, type.clone(getOutputElement()), pooled);
}

/// The stored rows of the ids of an output.
Value CollectionBuilder::buildRows(const OutputSpec &output, Value ids) {
  TableOp table = tables[output.table];
  auto symbol = FlatSymbolRefAttr::get(table.getSymNameAttr());
  Value rowIds = buildRowIds(collection.tables[output.table], ids);
  auto type = JaggedType::get(b.getContext(), table.getType().getRowType());
  return LookupOp::create(b, type, symbol, rowIds);
}

Value CollectionBuilder::buildFeature(StringRef name, Value kjt) {
  IntegerAttr length;
  for (const FixedLengthSpec &fixed : collection.fixedLengths)
    if (fixed.feature == name)
      length = b.getI64IntegerAttr(fixed.length);
  return FeatureOp::create(b, kjt, b.getStringAttr(name), length);
}

Value CollectionBuilder::buildOutput(const OutputSpec &output, Value kjt) {
  Value ids = buildFeature(output.feature, kjt);
  Value rows = buildRows(output, ids);
  if (spec.outputType == OutputType::uint8)
    return StoredBytesOp::create(b, rows);
  Value values = DequantizeOp::create(b, rows);
  if (Value weights = buildWeights(output, kjt, ids))
    values = WeightOp::create(b, values, weights);
  return buildResult(output, values);
}

Value CollectionBuilder::buildForward(Value kjt) {
  SmallVector<Value> outputs;
  for (const OutputSpec &output : collection.outputs)
    outputs.push_back(buildOutput(output, kjt));
  Type type = getResultType();
  if (collection.isPooled)
    return KeyedTensorOp::create(b, type, outputs);
  return JaggedDictOp::create(b, type, outputs);
}

SmallVector<StringAttr> ModelBuilder::getNames(ArrayRef<std::string> names) {
  return llvm::map_to_vector(
      names, [&](const std::string &name) { return b.getStringAttr(name); });
}

/// A batch has the features of all collections that read it.
SmallVector<Type> ModelBuilder::getBatchTypes() {
  std::vector<llvm::SetVector<StringAttr>> features;
  std::vector<bool> weighted;
  for (const CollectionSpec &collection : spec.collections) {
    features.resize(std::max(features.size(), collection.batch + 1));
    weighted.resize(features.size());
    features[collection.batch].insert_range(getNames(collection.features));
    weighted[collection.batch] =
        weighted[collection.batch] || collection.weighted;
  }
  SmallVector<Type> types;
  for (auto [batch, keys] : llvm::enumerate(features))
    types.push_back(
        KJTType::get(b.getContext(), keys.getArrayRef(), weighted[batch]));
  return types;
}

Type ModelBuilder::getResultType() {
  if (spec.groups.empty())
    return collections.front().getResultType();
  llvm::StringMap<int64_t> keyDims;
  for (const CollectionSpec &collection : spec.collections)
    for (const OutputSpec &output : collection.outputs)
      keyDims[output.key] = collection.tables[output.table].dim;
  SmallVector<StringAttr> keys;
  SmallVector<int64_t> dims;
  for (const GroupSpec &group : spec.groups) {
    keys.push_back(b.getStringAttr(group.key));
    int64_t &dim = dims.emplace_back(0);
    for (const std::string &key : group.keys)
      dim += keyDims.lookup(key);
  }
  auto keyed = cast<KeyedTensorType>(collections.front().getResultType());
  return TensorDictType::get(b.getContext(), keys, dims, keyed.getElement());
}

Value ModelBuilder::buildRegroup(ValueRange keyed) {
  SmallVector<Attribute> groups;
  for (const GroupSpec &group : spec.groups) {
    SmallVector<StringAttr> names = getNames(group.keys);
    groups.push_back(
        b.getArrayAttr(SmallVector<Attribute>(names.begin(), names.end())));
  }
  return RegroupOp::create(b, getResultType(), keyed, b.getArrayAttr(groups));
}

void ModelBuilder::buildForward() {
  auto forward = func::FuncOp::create(
      b, "forward", b.getFunctionType(getBatchTypes(), {getResultType()}));
  b.setInsertionPointToStart(forward.addEntryBlock());
  SmallVector<Value> results;
  for (auto [collection, builder] : llvm::zip(spec.collections, collections))
    results.push_back(
        builder.buildForward(forward.getArgument(collection.batch)));
  if (!spec.groups.empty())
    results = {buildRegroup(results)};
  func::ReturnOp::create(b, results);
}

OwningOpRef<ModuleOp> ModelBuilder::build() {
  OwningOpRef<ModuleOp> model = ModuleOp::create(b, StringRef(spec.name));
  (*model)->setAttr(TrecDialect::kContractAttrName,
                    b.getI32IntegerAttr(TrecDialect::kContractVersion));
  b.setInsertionPointToStart(model->getBody());
  for (CollectionBuilder &collection : collections)
    collection.buildTables();
  for (CollectionBuilder &collection : collections)
    collection.buildParameters();
  buildForward();
  return model;
}

OwningOpRef<ModuleOp> mlir::trec::buildModel(const ModelSpec &spec,
                                             MLIRContext &context) {
  context.loadDialect<TrecDialect, func::FuncDialect>();
  return ModelBuilder(spec, context).build();
}
