//===- BuildModel.cpp - The only writer of import-level IR ----------------===//
//
// One chain of ops per output, nothing shared between them and nothing fused:
// the IR reads as the definition of the model.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/BuildModel.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class ModelBuilder {
public:
  ModelBuilder(const ModelSpec &spec, MLIRContext &context)
      : spec(spec), b(UnknownLoc::get(&context), &context) {}

  OwningOpRef<ModuleOp> build();

private:
  void buildTables();
  void buildParameters();
  void buildMap(const RemapSpec &remap);
  Value buildRowIds(const TableSpec &table, Value ids);
  void buildForward();
  Value buildOutput(const OutputSpec &output, Value kjt);
  Value buildWeights(const OutputSpec &output, Value kjt, Value ids);
  Value buildResult(const OutputSpec &output, Value values);
  SmallVector<StringAttr> getNames(ArrayRef<std::string> names);
  Type getOutputElement();
  Type getResultType();

  const ModelSpec &spec;
  ImplicitLocOpBuilder b;
  /// Parallel to spec.tables.
  SmallVector<TableOp> tables;
};

} // namespace

static TableType getTableType(MLIRContext *context, const TableSpec &table) {
  HeaderType header =
      isQuantized(table.weights) ? HeaderType::f16 : HeaderType::none;
  auto layout = RowLayoutAttr::get(context, header, table.rowAlignment);
  return TableType::get(context, table.rows.value_or(ShapedType::kDynamic),
                        table.dim, table.weights, layout);
}

SmallVector<StringAttr> ModelBuilder::getNames(ArrayRef<std::string> names) {
  return llvm::map_to_vector(
      names, [&](const std::string &name) { return b.getStringAttr(name); });
}

Type ModelBuilder::getOutputElement() {
  switch (spec.outputType) {
  case OutputType::float32:
    return b.getF32Type();
  case OutputType::float16:
    return b.getF16Type();
  case OutputType::bfloat16:
    return b.getBF16Type();
  }
  llvm_unreachable("all output types are listed");
}

Type ModelBuilder::getResultType() {
  SmallVector<StringAttr> keys;
  SmallVector<int64_t> dims;
  for (const OutputSpec &output : spec.outputs) {
    keys.push_back(b.getStringAttr(output.key));
    dims.push_back(spec.tables[output.table].dim);
  }
  if (!spec.isPooled)
    return JaggedDictType::get(b.getContext(), keys, dims, getOutputElement());
  return KeyedTensorType::get(b.getContext(), keys, dims, getOutputElement());
}

void ModelBuilder::buildTables() {
  for (const TableSpec &table : spec.tables)
    tables.push_back(
        TableOp::create(b, b.getStringAttr(table.name),
                        TypeAttr::get(getTableType(b.getContext(), table))));
}

void ModelBuilder::buildParameters() {
  for (const PositionWeightsSpec &weights : spec.positionWeights) {
    auto type = RankedTensorType::get({weights.length}, b.getF32Type());
    ParameterOp::create(b, b.getStringAttr(weights.name), MapAttr(),
                        TypeAttr::get(type));
  }
  for (const TableSpec &table : spec.tables)
    if (table.remap)
      buildMap(*table.remap);
}

void ModelBuilder::buildMap(const RemapSpec &remap) {
  auto map = MapAttr::get(b.getContext(), remap.kind, remap.numIds);
  SmallVector<int64_t, 2> shape{remap.length.value_or(ShapedType::kDynamic)};
  if (map.getEntryWidth() > 1)
    shape.push_back(map.getEntryWidth());
  auto type = RankedTensorType::get(shape, map.getElementType());
  ParameterOp::create(b, b.getStringAttr(remap.name), map, TypeAttr::get(type));
}

/// The ids of an output as rows of its table: checked, and mapped where the
/// table has a map.
Value ModelBuilder::buildRowIds(const TableSpec &table, Value ids) {
  auto policy = BoundsPolicyAttr::get(b.getContext(), spec.boundsCheck);
  auto symbol = FlatSymbolRefAttr::get(
      b.getStringAttr(table.remap ? table.remap->name : table.name));
  Value checked = CheckBoundsOp::create(b, policy, ids, symbol);
  if (!table.remap)
    return checked;
  return RemapOp::create(b, checked, symbol);
}

/// The weights of the ids of an output, or null where it has none.
Value ModelBuilder::buildWeights(const OutputSpec &output, Value kjt,
                                 Value ids) {
  for (const PositionWeightsSpec &weights : spec.positionWeights)
    if (weights.feature == output.feature)
      return PositionWeightsOp::create(
          b, ids, FlatSymbolRefAttr::get(b.getStringAttr(weights.name)));
  if (!spec.weighted)
    return Value();
  return SampleWeightsOp::create(b, kjt, b.getStringAttr(output.feature));
}

/// From dequantized rows to what the output holds.
Value ModelBuilder::buildResult(const OutputSpec &output, Value values) {
  const TableSpec &table = spec.tables[output.table];
  if (!spec.isPooled) {
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

Value ModelBuilder::buildOutput(const OutputSpec &output, Value kjt) {
  TableOp table = tables[output.table];
  auto symbol = FlatSymbolRefAttr::get(table.getSymNameAttr());
  StringAttr feature = b.getStringAttr(output.feature);
  Value ids = FeatureOp::create(b, kjt, feature);
  Value rowIds = buildRowIds(spec.tables[output.table], ids);
  auto rowsType = JaggedType::get(b.getContext(), table.getType().getRowType());
  Value rows = LookupOp::create(b, rowsType, symbol, rowIds);
  Value values = DequantizeOp::create(b, rows);
  if (Value weights = buildWeights(output, kjt, ids))
    values = WeightOp::create(b, values, weights);
  return buildResult(output, values);
}

void ModelBuilder::buildForward() {
  auto batchType =
      KJTType::get(b.getContext(), getNames(spec.features), spec.weighted);
  Type resultType = getResultType();
  auto forward = func::FuncOp::create(
      b, "forward", b.getFunctionType({batchType}, {resultType}));
  b.setInsertionPointToStart(forward.addEntryBlock());
  SmallVector<Value> outputs;
  for (const OutputSpec &output : spec.outputs)
    outputs.push_back(buildOutput(output, forward.getArgument(0)));
  Value result;
  if (spec.isPooled)
    result = KeyedTensorOp::create(b, resultType, outputs);
  else
    result = JaggedDictOp::create(b, resultType, outputs);
  func::ReturnOp::create(b, result);
}

OwningOpRef<ModuleOp> ModelBuilder::build() {
  OwningOpRef<ModuleOp> model = ModuleOp::create(b, StringRef(spec.name));
  (*model)->setAttr(TrecDialect::kContractAttrName,
                    b.getI32IntegerAttr(TrecDialect::kContractVersion));
  b.setInsertionPointToStart(model->getBody());
  buildTables();
  buildParameters();
  buildForward();
  return model;
}

OwningOpRef<ModuleOp> mlir::trec::buildModel(const ModelSpec &spec,
                                             MLIRContext &context) {
  context.loadDialect<TrecDialect, func::FuncDialect>();
  return ModelBuilder(spec, context).build();
}
