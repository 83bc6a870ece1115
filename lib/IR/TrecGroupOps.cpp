//===- TrecGroupOps.cpp - Groups of fused lookups -------------------------===//
//
// Verifiers and the interface of the groups in TrecFusedOps.td.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace mlir::trec;

#include "trec/IR/TrecInterfaces.cpp.inc"

/// The constraints that groups and dispatches share: at least one bag, and each
/// feature in its batch.
template <typename OpT>
static LogicalResult verifyBags(OpT op, ValueRange batches) {
  if (op.getBags().empty()) // C1
    return op.emitOpError("expected at least one bag");
  for (BagAttr bag : op.getBags().template getAsRange<BagAttr>()) {
    if (bag.getBatch() >= int64_t(batches.size())) // C3
      return op.emitOpError()
             << "expected one of " << batches.size() << " batches for "
             << bag.getFeature() << ", got batch " << bag.getBatch();
    auto type = cast<KJTType>(batches[bag.getBatch()].getType());
    if (failed(verifyBatchHasKey(op, type, bag.getFeature()))) // C3
      return failure();
  }
  return success();
}

/// The kind of the map of a bag, which names one if it names any.
static std::optional<MapKind> getKind(Operation *group, BagAttr bag,
                                      SymbolTableCollection &symbolTable) {
  if (!bag.getRemap())
    return std::nullopt;
  auto map =
      symbolTable.lookupNearestSymbolFrom<ParameterOp>(group, bag.getRemap());
  return map.getMapAttr().getKind();
}

/// What remaps name, and that all bags have one of a kind, or none: they share
/// a kernel.
template <typename OpT>
static LogicalResult verifyRemaps(OpT group,
                                  SymbolTableCollection &symbolTable) {
  for (BagAttr bag : group.getBags().template getAsRange<BagAttr>())
    if (bag.getRemap() &&
        failed(verifyRemap(group, bag.getRemap(), symbolTable)))
      return failure();
  auto first = cast<BagAttr>(group.getBags()[0]);
  for (BagAttr bag : group.getBags().template getAsRange<BagAttr>())
    if (getKind(group, bag, symbolTable) != getKind(group, first, symbolTable))
      return group.emitOpError("expected remaps of all bags by maps of one "
                               "kind, or of none");
  return success();
}

/// C2 of groups, tables of the group's type of row.
template <typename OpT>
static LogicalResult verifyTables(OpT group,
                                  SymbolTableCollection &symbolTable) {
  for (BagAttr bag : group.getBags().template getAsRange<BagAttr>()) {
    auto table = lookupSymbol<TableOp>(group, bag.getTable(), symbolTable);
    if (failed(table))
      return failure();
    if (table->getType().getRowType() == group.getRowType())
      continue;
    InFlightDiagnostic diagnostic = group.emitOpError()
                                    << "expected tables with rows of type "
                                    << group.getRowType() << ", got "
                                    << bag.getTable(); // C2
    diagnostic.attachNote(table->getLoc())
        << "its rows are " << table->getType().getRowType();
    return diagnostic;
  }
  return success();
}

/// The kind of the maps of a verified group: that of its first bag.
static std::optional<MapKind> getKindOfGroup(Operation *group, ArrayAttr bags) {
  SymbolTableCollection symbolTable;
  return getKind(group, cast<BagAttr>(bags[0]), symbolTable);
}

/// The columns of each tensor that a group writes into.
static SmallVector<int64_t> getTotalDims(Type dest) {
  if (auto keyed = dyn_cast<KeyedTensorType>(dest))
    return {keyed.getTotalDim()};
  return llvm::to_vector(cast<TensorDictType>(dest).getDims());
}

/// C4.
static LogicalResult verifyPlace(EmbeddingBagGroupOp group, BagAttr bag,
                                 ArrayRef<int64_t> totalDims) {
  if (bag.getOutput() >= int64_t(totalDims.size()))
    return group.emitOpError()
           << "expected one of " << totalDims.size() << " outputs for "
           << bag.getFeature() << ", got output " << bag.getOutput();
  int64_t dim = group.getRowType().getDim();
  int64_t total = totalDims[bag.getOutput()];
  if (bag.getColumn() <= total - dim)
    return success();
  return group.emitOpError()
         << "expected columns of " << bag.getFeature() << " within the "
         << total << " of the output, got " << bag.getColumn() << " to "
         << bag.getColumn() + dim;
}

/// C10: the arithmetic of the lowering is one that the rows have.
static LogicalResult verifyArithmetic(EmbeddingBagGroupOp group) {
  LoweringConfigAttr lowering = group.getLoweringAttr();
  if (!lowering || lowering.getCertified() == RowArithmetic::in_order)
    return success();
  RowType row = group.getRowType();
  StringRef name = stringifyRowArithmetic(lowering.getCertified());
  int64_t widest = lowering.getCertified() == RowArithmetic::row_pairs ? 2 : 8;
  if (!row.isQuantized() || row.getBits() > widest)
    return group.emitOpError() << "expected rows of codes of at most " << widest
                               << " bits for " << name << ", got " << row;
  if (group.getWeighting() != Weighting::none &&
      lowering.getNumerics() != Numerics::relaxed)
    return group.emitOpError()
           << "expected weighted rows to be added in_order, got " << name;
  return success();
}

LogicalResult EmbeddingBagGroupOp::verify() {
  if (failed(verifyBags(*this, getKjts())))
    return failure();
  if (failed(verifyArithmetic(*this))) // C10
    return failure();
  SmallVector<int64_t> totalDims = getTotalDims(getDest().getType());
  bool hasWeights = getWeighting() == Weighting::position;
  for (BagAttr bag : getBags().getAsRange<BagAttr>()) {
    if (failed(verifyPlace(*this, bag, totalDims))) // C4
      return failure();
    if (bool(bag.getWeights()) != hasWeights) // C6
      return emitOpError("expected weights of all bags or of none");
    auto batch = cast<KJTType>(getKjts()[bag.getBatch()].getType());
    if (getWeighted() && !batch.getWeighted()) // C5
      return emitOpError("expected a weighted batch");
  }
  if (getWeighted() && hasWeights) // C5
    return emitOpError("expected bags without weights in a weighted group");
  return success();
}

ValueRange EmbeddingBagGroupOp::getBatches() { return getKjts(); }

LogicalResult
EmbeddingBagGroupOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (BagAttr bag : getBags().getAsRange<BagAttr>())
    if (bag.getWeights() && failed(verifyPositionWeights(
                                *this, bag.getWeights(), symbolTable))) // C7
      return failure();
  if (failed(verifyRemaps(*this, symbolTable))) // C8 and C9
    return failure();
  return verifyTables(*this, symbolTable);
}

RowType EmbeddingBagGroupOp::getRowType() { return cast<RowType>(getRow()); }

std::optional<Pooling> EmbeddingBagGroupOp::getPoolingMode() {
  return getPooling();
}

Weighting EmbeddingBagGroupOp::getWeighting() {
  if (!getBags().empty() && cast<BagAttr>(getBags()[0]).getWeights())
    return Weighting::position;
  return getWeighted() ? Weighting::sample : Weighting::none;
}

std::optional<MapKind> EmbeddingBagGroupOp::getRemapKind() {
  return getKindOfGroup(*this, getBags());
}

Type EmbeddingBagGroupOp::getOutputElement() {
  Type dest = getDest().getType();
  if (auto keyed = dyn_cast<KeyedTensorType>(dest))
    return keyed.getElement();
  return cast<TensorDictType>(dest).getElement();
}

LogicalResult EmbeddingGroupOp::verify() {
  if (failed(verifyBags(*this, getBatches())))
    return failure();
  if (LoweringConfigAttr lowering = getLoweringAttr())
    if (lowering.getCertified() != RowArithmetic::in_order) // C8
      return emitOpError() << "expected rows that are not pooled to be added "
                              "in_order, got "
                           << stringifyRowArithmetic(lowering.getCertified());
  JaggedDictType dict = getDest().getType();
  int64_t dim = getRowType().getOutputDim(dict.getElement());
  for (BagAttr bag : getBags().getAsRange<BagAttr>()) {
    int64_t numKeys = dict.getKeys().size();
    if (bag.getColumn() >= numKeys) // C4
      return emitOpError() << "expected one of the " << numKeys
                           << " keys of the output for " << bag.getFeature()
                           << ", got key " << bag.getColumn();
    if (dict.getDims()[bag.getColumn()] != dim) // C4
      return emitOpError() << "expected a key of dim " << dim << " for "
                           << bag.getFeature() << ", got one of dim "
                           << dict.getDims()[bag.getColumn()];
    if (bag.getWeights()) // C5
      return emitOpError("expected bags without weights");
  }
  return success();
}

LogicalResult
EmbeddingGroupOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  if (failed(verifyRemaps(*this, symbolTable))) // C6 and C7
    return failure();
  return verifyTables(*this, symbolTable);
}

ValueRange EmbeddingGroupOp::getBatches() { return getODSOperands(0); }

RowType EmbeddingGroupOp::getRowType() { return cast<RowType>(getRow()); }

std::optional<Pooling> EmbeddingGroupOp::getPoolingMode() {
  return std::nullopt;
}

Weighting EmbeddingGroupOp::getWeighting() { return Weighting::none; }

std::optional<MapKind> EmbeddingGroupOp::getRemapKind() {
  return getKindOfGroup(*this, getBags());
}

Type EmbeddingGroupOp::getOutputElement() {
  return getDest().getType().getElement();
}

LogicalResult DispatchOp::verify() { return verifyBags(*this, getKjts()); }

/// Of a kernel's scalars the third is the offset of certified sums.
static bool isScalarOfKernel(size_t place, Type type) {
  return place == 2 ? type.isF32() : type.isIndex();
}

/// True for the type that `convert-trec-to-vector` gives its functions.
static bool isKernelType(FunctionType type) {
  constexpr int64_t ranks[] = {2, 1, 1, 1, 2, 1, 1};
  constexpr size_t numScalars = 8, numMemRefs = std::size(ranks);
  if (type.getNumInputs() != numMemRefs + numScalars || type.getNumResults())
    return false;
  for (auto [input, rank] : llvm::zip(type.getInputs(), ranks)) {
    auto memref = dyn_cast<MemRefType>(input);
    if (!memref || memref.getRank() != rank)
      return false;
  }
  ArrayRef<Type> scalars = type.getInputs().drop_front(numMemRefs);
  return llvm::all_of(llvm::enumerate(scalars), [](auto scalar) {
    return isScalarOfKernel(scalar.index(), scalar.value());
  });
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (BagAttr bag : getBags().getAsRange<BagAttr>())
    if (failed(lookupSymbol<TableOp>(*this, bag.getTable(), symbolTable))) // C2
      return failure();
  for (FlatSymbolRefAttr kernel : {getKernelI32Attr(), getKernelI64Attr()}) {
    auto function = lookupSymbol<func::FuncOp>(*this, kernel, symbolTable);
    if (failed(function)) // C4
      return failure();
    if (isKernelType(function->getFunctionType())) // C4
      continue;
    InFlightDiagnostic diagnostic =
        emitOpError() << "expected " << kernel
                      << " to take seven memrefs, two indexes, an f32 "
                         "and five indexes, got "
                      << function->getFunctionType();
    diagnostic.attachNote(function->getLoc()) << "declared here";
    return diagnostic;
  }
  return success();
}
