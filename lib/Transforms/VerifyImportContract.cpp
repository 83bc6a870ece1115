//===- VerifyImportContract.cpp - What the compiler compiles --------------===//
//
// The ops' own verifiers say what has a meaning; this pass says what has code.
// Passes after it rely on it and check nothing again. Accepted are modules of
//
//   module @m attributes {trec.contract = 1 : i32} {
//     trec.table @t : …
//     func.func @forward(%kjt: !trec.kjt<["f"]>) -> !trec.keyed_tensor<…> {
//       %ids = trec.feature %kjt "f" : …
//       %checked = trec.check_bounds warning %ids in @t
//       %rows = trec.lookup @t[%checked] : …
//       %values = trec.dequantize %rows : …
//       %pooled = trec.pool sum %values : …
//       %out = trec.keyed_tensor %pooled : …
//       return %out : …
//
// with any number of tables and lookups, weights between dequantize and pool,
// and a cast of the output behind pool; or with trec.materialize and
// trec.jagged_dict in place of trec.pool and trec.keyed_tensor, and
// trec.stored_bytes in place of trec.dequantize and trec.materialize; or with
// several batches and a trec.regroup of several trec.keyed_tensor. Labels C1,
// C2 … are those of Passes.td.
//
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"
#include "trec/Runtime/KernelABI.h"
#include "trec/Transforms/Passes.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::trec {
#define GEN_PASS_DEF_VERIFYIMPORTCONTRACTPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

namespace {

struct VerifyImportContractPass
    : public trec::impl::VerifyImportContractPassBase<
          VerifyImportContractPass> {
  using VerifyImportContractPassBase::VerifyImportContractPassBase;

  void runOnOperation() override;
};

} // namespace

/// C1.
static LogicalResult verifyVersion(ModuleOp module) {
  constexpr StringLiteral name = TrecDialect::kContractAttrName;
  constexpr int32_t version = TrecDialect::kContractVersion;
  Attribute found = module->getAttr(name);
  auto integer = dyn_cast_or_null<IntegerAttr>(found);
  if (integer && integer.getType().isInteger(32) && integer.getInt() == version)
    return success();
  InFlightDiagnostic diagnostic = module.emitOpError()
                                  << "expected " << name << " = " << version
                                  << " : i32, got ";
  if (found)
    return diagnostic << found
                      << "; import the model with the tools of this "
                         "version of trec";
  return diagnostic << "none; only an imported model can be compiled";
}

/// C2: finds the function.
static FailureOr<func::FuncOp> findForward(ModuleOp module) {
  func::FuncOp forward;
  for (Operation &op : *module.getBody()) {
    if (isa<TableOp, ParameterOp>(op))
      continue;
    auto function = dyn_cast<func::FuncOp>(op);
    if (!function)
      return op.emitOpError(
          "is not compiled: expected trec.table and trec.parameter ops and one "
          "function");
    if (function.getSymName() != "forward")
      return op.emitOpError("is not compiled: expected one function @forward, "
                            "got @")
             << function.getSymName();
    forward = function;
  }
  if (!forward)
    return module.emitOpError("expected a function @forward, got none");
  return forward;
}

/// One batch for a KeyedTensor or a dict of JaggedTensors, at most
/// TREC_MAX_BATCHES for a dict of tensors.
static bool isSignature(FunctionType type) {
  unsigned numBatches = type.getNumInputs();
  if (!numBatches || type.getNumResults() != 1 ||
      !llvm::all_of(type.getInputs(), llvm::IsaPred<KJTType>))
    return false;
  if (isa<TensorDictType>(type.getResult(0)))
    return numBatches <= TREC_MAX_BATCHES;
  return numBatches == 1 &&
         isa<KeyedTensorType, JaggedDictType>(type.getResult(0));
}

/// C3.
static LogicalResult verifySignature(func::FuncOp forward) {
  FunctionType type = forward.getFunctionType();
  if (!isSignature(type))
    return forward.emitOpError("expected one !trec.kjt argument and one "
                               "!trec.keyed_tensor or !trec.jagged_dict "
                               "result, or at most ")
           << int64_t(TREC_MAX_BATCHES)
           << " !trec.kjt arguments and one !trec.tensor_dict result, got "
           << type;
  if (!forward.getBody().hasOneBlock())
    return forward.emitOpError("expected a body of one block, got ")
           << forward.getBody().getBlocks().size() << " blocks";
  return success();
}

/// C4.
static LogicalResult verifyIsLowered(Operation &op) {
  StringRef reason =
      TypeSwitch<Operation *, StringRef>(&op)
          .Case<FeatureOp, SampleWeightsOp, PositionWeightsOp, CheckBoundsOp,
                RemapOp, LookupOp, DequantizeOp, WeightOp, PoolOp,
                MaterializeOp, StoredBytesOp, CastOutputOp, KeyedTensorOp,
                JaggedDictOp, RegroupOp, func::ReturnOp>(
              [](auto) { return ""; })
          .Case<EmbeddingBagOp, EmbeddingOp, EmptyOp, EmbeddingBagGroupOp,
                EmbeddingGroupOp, DispatchOp>([](auto) {
            return "it is made by the compiler itself; write the ops that it "
                   "stands for";
          })
          .Default([](Operation *) {
            return "it is no op of the import layer; remove it";
          });
  if (reason.empty())
    return success();
  return op.emitOpError("is not compiled: ") << reason;
}

/// C5. Ids and weights of the batch may serve several lookups.
static LogicalResult verifyUses(Operation &op) {
  if (isa<FeatureOp, SampleWeightsOp, PositionWeightsOp, func::ReturnOp>(op) ||
      op.hasOneUse())
    return success();
  InFlightDiagnostic diagnostic =
      op.emitOpError("expected one use of its result, got ")
      << std::distance(op.use_begin(), op.use_end());
  for (Operation *user : op.getUsers())
    diagnostic.attachNote(user->getLoc()) << "used here";
  return diagnostic;
}

/// C6: the check of the ids that are looked up, against what they index.
static FailureOr<CheckBoundsOp> findCheck(LookupOp lookup) {
  auto remap = lookup.getIds().getDefiningOp<RemapOp>();
  FlatSymbolRefAttr indexed =
      remap ? remap.getMapAttr() : lookup.getTableAttr();
  Value ids = remap ? remap.getIds() : lookup.getIds();
  auto check = ids.getDefiningOp<CheckBoundsOp>();
  if (!check)
    return lookup.emitOpError(
               "expected ids checked by trec.check_bounds against ")
           << indexed << ", got ids that are not checked";
  if (check.getTableAttr() == indexed)
    return check;
  InFlightDiagnostic diagnostic =
      lookup.emitOpError("expected ids checked against ")
      << indexed << ", got ids checked against " << check.getTableAttr();
  diagnostic.attachNote(check.getLoc()) << "checked here";
  return diagnostic;
}

/// C6 and C7.
static LogicalResult verifyIds(LookupOp lookup) {
  FailureOr<CheckBoundsOp> check = findCheck(lookup); // C6
  if (failed(check))
    return failure();
  if (check->getIds().getDefiningOp<FeatureOp>()) // C7
    return success();
  InFlightDiagnostic diagnostic = check->emitOpError(
      "expected ids of a trec.feature, got ids that were checked before");
  diagnostic.attachNote(check->getIds().getLoc()) << "checked here";
  return diagnostic;
}

/// The feature whose ids became these rows.
static FeatureOp getFeature(DequantizeOp dequantize) {
  auto lookup = dequantize.getRows().getDefiningOp<LookupOp>();
  FailureOr<CheckBoundsOp> check = findCheck(lookup);
  return check->getIds().getDefiningOp<FeatureOp>();
}

/// C8 for weights by position: of the very ids that are looked up.
static LogicalResult verifyPositionWeights(WeightOp weight,
                                           PositionWeightsOp byPosition,
                                           FeatureOp feature) {
  if (byPosition.getIds() == feature.getIds())
    return success();
  InFlightDiagnostic diagnostic = weight.emitOpError(
      "expected weights by the positions of the ids that are looked up, got "
      "those of other ids");
  diagnostic.attachNote(byPosition.getLoc()) << "weights are made here";
  return diagnostic;
}

/// C8.
static LogicalResult verifyWeight(WeightOp weight) {
  auto dequantize = weight.getValues().getDefiningOp<DequantizeOp>();
  if (!dequantize) {
    InFlightDiagnostic diagnostic = weight.emitOpError(
        "expected dequantized rows, got rows that are weighted already");
    diagnostic.attachNote(weight.getValues().getLoc()) << "weighted here";
    return diagnostic;
  }
  FeatureOp feature = getFeature(dequantize);
  if (auto byPosition = weight.getWeights().getDefiningOp<PositionWeightsOp>())
    return verifyPositionWeights(weight, byPosition, feature);
  auto weights = weight.getWeights().getDefiningOp<SampleWeightsOp>();
  bool isSameBatch = weights.getKjt() == feature.getKjt();
  if (isSameBatch && weights.getKey() == feature.getKey())
    return success();
  InFlightDiagnostic diagnostic =
      weight.emitOpError("expected sample weights of key ")
      << feature.getKeyAttr() << ", got those of " << weights.getKeyAttr()
      << (isSameBatch ? "" : " of another batch");
  diagnostic.attachNote(feature.getLoc()) << "the ids are taken here";
  return diagnostic;
}

/// C9: the interface of a compiled model has one policy.
static LogicalResult verifyPolicies(func::FuncOp forward) {
  CheckBoundsOp first;
  for (auto check : forward.getOps<CheckBoundsOp>()) {
    if (!first)
      first = check;
    if (check.getPolicy() == first.getPolicy())
      continue;
    InFlightDiagnostic diagnostic = check.emitOpError("expected policy '")
                                    << stringifyBoundsPolicy(first.getPolicy())
                                    << "', as all checks of a model, got '"
                                    << stringifyBoundsPolicy(check.getPolicy())
                                    << "'";
    diagnostic.attachNote(first.getLoc()) << "the first check is here";
    return diagnostic;
  }
  return success();
}

/// C10 and C15: what a caller must bring is read. Without a weighted batch
/// there are no sample weights, as trec.sample_weights verifies.
static LogicalResult verifyBatchesAreRead(func::FuncOp forward) {
  SetVector<Value> read, weighing;
  for (auto feature : forward.getOps<FeatureOp>())
    if (!feature->use_empty())
      read.insert(feature.getKjt());
  for (auto weights : forward.getOps<SampleWeightsOp>())
    if (!weights->use_empty())
      weighing.insert(weights.getKjt());
  for (BlockArgument batch : forward.getArguments()) {
    if (!read.contains(batch)) // C15
      return forward.emitOpError("expected a lookup of ids of batch ")
             << batch.getArgNumber() << ", got none; remove the argument";
    if (cast<KJTType>(batch.getType()).getWeighted() &&
        !weighing.contains(batch)) // C10
      return forward.emitOpError("expected rows weighted by the sample weights "
                                 "of batch ")
             << batch.getArgNumber()
             << ", got none; declare the batch without weights";
  }
  return success();
}

/// C14: a key in no group would be looked up for nothing.
static LogicalResult verifyGroups(func::FuncOp forward) {
  for (auto regroup : forward.getOps<RegroupOp>()) {
    DenseSet<Attribute> grouped;
    for (auto group : regroup.getGroups().getAsRange<ArrayAttr>())
      grouped.insert_range(group);
    for (Value operand : regroup.getKeyed())
      for (StringAttr key : cast<KeyedTensorType>(operand.getType()).getKeys())
        if (!grouped.contains(key))
          return regroup.emitOpError("expected key ")
                 << key << " in a group, got it in none; add it to one, or "
                 << "remove its lookup";
  }
  return success();
}

/// C13: the kernels that do not pool know no weights.
static LogicalResult verifyUnpooled(func::FuncOp forward) {
  for (auto materialize : forward.getOps<MaterializeOp>()) {
    auto weight = materialize.getValues().getDefiningOp<WeightOp>();
    if (!weight)
      continue;
    InFlightDiagnostic diagnostic = materialize.emitOpError(
        "expected rows without weights, got weighted rows; pool them");
    diagnostic.attachNote(weight.getLoc()) << "weighted here";
    return diagnostic;
  }
  return success();
}

/// C16: FBGEMM gives out no others whole.
static LogicalResult verifyStoredBytes(func::FuncOp forward) {
  for (auto bytes : forward.getOps<StoredBytesOp>()) {
    auto row = cast<RowType>(bytes.getRows().getType().getElement());
    if (row.getWeights() == WeightsType::int8)
      continue;
    InFlightDiagnostic diagnostic =
        bytes.emitOpError(
            "is not compiled: expected rows of int8, got rows of ")
        << stringifyWeightsType(row.getWeights()) << "; dequantize them";
    diagnostic.attachNote(bytes.getRows().getLoc()) << "looked up here";
    return diagnostic;
  }
  return success();
}

/// C17: a promise is one about the batch, whoever reads it.
static LogicalResult verifyLengths(func::FuncOp forward) {
  DenseMap<std::pair<Value, StringAttr>, FeatureOp> features;
  for (auto feature : forward.getOps<FeatureOp>()) {
    FeatureOp first =
        features.try_emplace({feature.getKjt(), feature.getKeyAttr()}, feature)
            .first->second;
    if (first.getLengthAttr() == feature.getLengthAttr())
      continue;
    auto describe = [](FeatureOp op) {
      return op.getLength() ? "length " + std::to_string(*op.getLength())
                            : std::string("no length");
    };
    InFlightDiagnostic diagnostic = feature.emitOpError("expected ")
                                    << describe(first) << " of key "
                                    << feature.getKeyAttr() << ", got "
                                    << describe(feature);
    diagnostic.attachNote(first.getLoc()) << "the key is taken first here";
    return diagnostic;
  }
  return success();
}

/// C11: what nothing reads would still have to be in the weights.
static LogicalResult verifyTablesAreUsed(ModuleOp module,
                                         func::FuncOp forward) {
  DenseSet<Attribute> used;
  for (auto lookup : forward.getOps<LookupOp>())
    used.insert(lookup.getTableAttr());
  for (auto table : module.getOps<TableOp>())
    if (!used.contains(FlatSymbolRefAttr::get(table.getSymNameAttr())))
      return table.emitOpError("expected a lookup of the table, got none; "
                               "remove the table");
  for (auto weights : forward.getOps<PositionWeightsOp>())
    used.insert(weights.getParameterAttr());
  for (auto remap : forward.getOps<RemapOp>())
    used.insert(remap.getMapAttr());
  for (auto parameter : module.getOps<ParameterOp>())
    if (!used.contains(FlatSymbolRefAttr::get(parameter.getSymNameAttr())))
      return parameter.emitOpError("expected a use of the parameter, got none; "
                                   "remove the parameter");
  return success();
}

static LogicalResult verifyName(Operation *op, StringRef what, StringRef name) {
  if (!name.contains('\0'))
    return success();
  return op->emitOpError("expected a name of a ")
         << what << " without NUL, got "
         << StringAttr::get(op->getContext(), name);
}

/// C12: names are C strings in the compiled model.
static LogicalResult verifyNames(ModuleOp module, func::FuncOp forward) {
  FunctionType type = forward.getFunctionType();
  for (auto table : module.getOps<TableOp>())
    if (failed(verifyName(table, "table", table.getSymName())))
      return failure();
  for (Type batch : type.getInputs())
    for (StringAttr key : cast<KJTType>(batch).getKeys())
      if (failed(verifyName(forward, "feature", key)))
        return failure();
  ArrayRef<StringAttr> keys =
      TypeSwitch<Type, ArrayRef<StringAttr>>(type.getResult(0))
          .Case<KeyedTensorType, JaggedDictType, TensorDictType>(
              [](auto output) { return output.getKeys(); });
  for (StringAttr key : keys)
    if (failed(verifyName(forward, "key", key)))
      return failure();
  for (auto parameter : module.getOps<ParameterOp>())
    if (failed(verifyName(parameter, "parameter", parameter.getSymName())))
      return failure();
  return success();
}

static LogicalResult verifyBody(func::FuncOp forward) {
  Block &body = forward.getBody().front();
  for (Operation &op : body)
    if (failed(verifyIsLowered(op)))
      return failure();
  for (Operation &op : body)
    if (failed(verifyUses(op)))
      return failure();
  for (auto lookup : body.getOps<LookupOp>())
    if (failed(verifyIds(lookup)))
      return failure();
  for (auto weight : body.getOps<WeightOp>())
    if (failed(verifyWeight(weight)))
      return failure();
  return success();
}

void VerifyImportContractPass::runOnOperation() {
  ModuleOp module = getOperation();
  if (failed(verifyVersion(module)))
    return signalPassFailure();
  FailureOr<func::FuncOp> forward = findForward(module);
  if (failed(forward) || failed(verifySignature(*forward)) ||
      failed(verifyBody(*forward)) || failed(verifyPolicies(*forward)) ||
      failed(verifyBatchesAreRead(*forward)) ||
      failed(verifyGroups(*forward)) || failed(verifyUnpooled(*forward)) ||
      failed(verifyStoredBytes(*forward)) || failed(verifyLengths(*forward)) ||
      failed(verifyTablesAreUsed(module, *forward)) ||
      failed(verifyNames(module, *forward)))
    return signalPassFailure();
  markAllAnalysesPreserved();
}
