//===- GroupTables.cpp - Group the lookups of one configuration -----------===//
//
// A kernel is made per configuration, not per table: its dim and stride are
// constants, and where a table lies comes from a descriptor. This pass finds
// the configurations:
//
//   %a = trec.embedding_bag sum @ads[%i] bounds warning : tensor<?x128xf32>
//   %b = trec.embedding_bag sum @pages[%j] bounds warning : tensor<?x128xf32>
//   %out = trec.keyed_tensor %a, %b : …
//
// becomes
//
//   %0 = trec.empty : …
//   %out = trec.embedding_bag_group sum %kjt into %0
//       [#trec.bag<@ads, "ad_id", 0>, #trec.bag<@pages, "page_id", 128>] …
//
// Behind a trec.regroup the lookups write into the tensors of its groups:
//
//   %dict = trec.regroup %out [["page_id"], ["ad_id"]] : …
//
// becomes a group of
//
//   [#trec.bag<@pages, "page_id", 0>, #trec.bag<@ads, "ad_id", 0, output = 1>]
//
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/Passes.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::trec {
#define GEN_PASS_DEF_GROUPTABLESPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

namespace {

/// What the lookups of one group share. The output element is that of the whole
/// output. Without pooling the lookups are trec.embedding ops.
struct Configuration {
  RowType row;
  PoolingAttr pooling;
  BoundsPolicyAttr policy;
  Weighting weighting;
  std::optional<MapKind> remap;

  auto asTuple() const {
    return std::make_tuple(row.getAsOpaquePointer(),
                           pooling ? pooling.getAsOpaquePointer() : nullptr,
                           policy.getAsOpaquePointer(), weighting, remap);
  }
};

/// Where the result of a lookup goes.
struct Place {
  int64_t output = 0;
  int64_t column = 0;
  BadIds badIds = BadIds::counted;
};

/// A result that becomes part of an output.
struct Part {
  Value value;
  Place place;
};

/// One lookup on its way into a group.
struct Member {
  Configuration configuration;
  BagAttr bag;
};

using ConfigurationKey = decltype(std::declval<Configuration>().asTuple());
using Groups = llvm::MapVector<ConfigurationKey, SmallVector<Member>,
                               std::map<ConfigurationKey, unsigned>>;

struct GroupTablesPass
    : public trec::impl::GroupTablesPassBase<GroupTablesPass> {
  using GroupTablesPassBase::GroupTablesPassBase;

  void runOnOperation() override {
    SmallVector<Operation *> outputs;
    getOperation().walk([&](Operation *op) {
      bool isRegrouped = llvm::any_of(op->getUsers(), llvm::IsaPred<RegroupOp>);
      if (isa<KeyedTensorOp, JaggedDictOp, RegroupOp>(op) && !isRegrouped)
        outputs.push_back(op);
    });
    SymbolTable symbols(getOperation());
    for (Operation *output : outputs)
      if (failed(groupLookups(output, symbols)))
        return signalPassFailure();
  }

  LogicalResult groupLookups(Operation *output, const SymbolTable &symbols);
};

} // namespace

/// Refuses a lookup whose weights are not those of its own feature.
static LogicalResult verifySampleWeights(EmbeddingBagOp lookup,
                                         FeatureOp feature) {
  if (!lookup.getWeights())
    return success();
  auto weights = lookup.getWeights().getDefiningOp<SampleWeightsOp>();
  if (weights && weights.getKey() == feature.getKey() &&
      weights.getKjt() == feature.getKjt())
    return success();
  return lookup.emitOpError("expected the sample weights of its feature, \"")
         << feature.getKey() << '"';
}

static Weighting getWeighting(EmbeddingBagOp lookup) {
  if (lookup.getPositionWeightsAttr())
    return Weighting::position;
  return lookup.getWeights() ? Weighting::sample : Weighting::none;
}

static RowType getRowType(StringRef table, const SymbolTable &symbols) {
  return symbols.lookup<TableOp>(table).getType().getRowType();
}

/// The kind of the map of a lookup, where it has one.
static std::optional<MapKind> getRemapKind(FlatSymbolRefAttr remap,
                                           const SymbolTable &symbols) {
  if (!remap)
    return std::nullopt;
  auto map = symbols.lookup<ParameterOp>(remap.getValue());
  return map.getMapAttr().getKind();
}

/// The batches of the function around an op.
static SmallVector<Value> getBatches(Operation *op) {
  auto forward = op->getParentOfType<func::FuncOp>();
  return llvm::filter_to_vector(
      ValueRange(forward.getArguments()),
      [](Value value) { return isa<KJTType>(value.getType()); });
}

static BagAttr makeBag(FeatureOp feature, FlatSymbolRefAttr table,
                       FlatSymbolRefAttr weights, FlatSymbolRefAttr remap,
                       const Place &place) {
  SmallVector<Value> batches = getBatches(feature);
  int64_t batch = llvm::find(batches, feature.getKjt()) - batches.begin();
  return BagAttr::get(feature.getContext(), table, feature.getKeyAttr(),
                      place.column, weights, remap, batch, place.output,
                      place.badIds, feature.getLength());
}

static Member makeMember(EmbeddingBagOp lookup, FeatureOp feature,
                         const Place &place, const SymbolTable &symbols) {
  return {{getRowType(lookup.getTable(), symbols), lookup.getPoolingAttr(),
           lookup.getPolicyAttr(), getWeighting(lookup),
           getRemapKind(lookup.getRemapAttr(), symbols)},
          makeBag(feature, lookup.getTableAttr(),
                  lookup.getPositionWeightsAttr(), lookup.getRemapAttr(),
                  place)};
}

static Member makeMember(EmbeddingOp lookup, FeatureOp feature,
                         const Place &place, const SymbolTable &symbols) {
  return {{getRowType(lookup.getTable(), symbols), PoolingAttr(),
           lookup.getPolicyAttr(), Weighting::none,
           getRemapKind(lookup.getRemapAttr(), symbols)},
          makeBag(feature, lookup.getTableAttr(), FlatSymbolRefAttr(),
                  lookup.getRemapAttr(), place)};
}

/// Describes the lookup of type OpT that makes one part of an output.
template <typename OpT>
static FailureOr<Member> describeLookup(Operation *output, const Part &part,
                                        const SymbolTable &symbols) {
  auto lookup = part.value.getDefiningOp<OpT>();
  auto feature = lookup ? lookup.getIds().template getDefiningOp<FeatureOp>()
                        : FeatureOp();
  if (!feature || !lookup->hasOneUse()) {
    InFlightDiagnostic diagnostic =
        output->emitOpError("expected operands made by a ")
        << OpT::getOperationName() << " of a feature, used once";
    if (Operation *producer = part.value.getDefiningOp())
      diagnostic.attachNote(producer->getLoc()) << "this operand is not";
    return diagnostic;
  }
  if constexpr (std::is_same_v<OpT, EmbeddingBagOp>)
    if (failed(verifySampleWeights(lookup, feature)))
      return failure();
  return makeMember(lookup, feature, part.place, symbols);
}

/// By key: the one result that is its in the operands of a regroup. A key that
/// is in no group would lose its check of bounds.
static FailureOr<DenseMap<Attribute, Value>> collectKeys(RegroupOp regroup) {
  DenseSet<Attribute> grouped;
  for (auto group : regroup.getGroups().getAsRange<ArrayAttr>())
    grouped.insert_range(group);
  DenseMap<Attribute, Value> values;
  for (Value operand : regroup.getKeyed()) {
    auto keyed = operand.getDefiningOp<KeyedTensorOp>();
    if (!keyed || !keyed->hasOneUse())
      return regroup.emitOpError("expected operands made by a "
                                 "trec.keyed_tensor, used once");
    for (auto [key, value] :
         llvm::zip(keyed.getKeyed().getType().getKeys(), keyed.getPooled())) {
      if (!grouped.contains(key))
        return regroup.emitOpError("expected key ")
               << key << " in a group, got it in none";
      values[key] = value;
    }
  }
  return values;
}

/// The parts of a regroup: group after group, each from left to right.
static FailureOr<SmallVector<Part>> collectParts(RegroupOp regroup) {
  FailureOr<DenseMap<Attribute, Value>> values = collectKeys(regroup);
  if (failed(values))
    return failure();
  SmallVector<Part> parts;
  DenseSet<Attribute> seen;
  for (auto [output, group] :
       llvm::enumerate(regroup.getGroups().getAsRange<ArrayAttr>())) {
    Place place{int64_t(output)};
    for (Attribute key : group) {
      place.badIds =
          seen.insert(key).second ? BadIds::counted : BadIds::repeated;
      Value value = values->lookup(key);
      parts.push_back({value, place});
      place.column += cast<RankedTensorType>(value.getType()).getDimSize(1);
    }
  }
  return parts;
}

/// The parts of an output in its order.
static FailureOr<SmallVector<Part>> collectParts(Operation *output) {
  if (auto regroup = dyn_cast<RegroupOp>(output))
    return collectParts(regroup);
  SmallVector<Part> parts;
  Place place;
  for (Value operand : output->getOperands()) {
    parts.push_back({operand, place});
    // A column of a KeyedTensor, the index of a key of a dict.
    auto pooled = dyn_cast<RankedTensorType>(operand.getType());
    place.column += pooled ? pooled.getDimSize(1) : 1;
  }
  return parts;
}

static FailureOr<Groups> collectGroups(Operation *output, ArrayRef<Part> parts,
                                       const SymbolTable &symbols) {
  Groups groups;
  bool isPooled = !isa<JaggedDictOp>(output);
  for (const Part &part : parts) {
    FailureOr<Member> member =
        isPooled ? describeLookup<EmbeddingBagOp>(output, part, symbols)
                 : describeLookup<EmbeddingOp>(output, part, symbols);
    if (failed(member))
      return failure();
    groups[member->configuration.asTuple()].push_back(*member);
  }
  return groups;
}

static Value makeGroup(OpBuilder &builder, ValueRange batches, Value dest,
                       ArrayRef<Member> members) {
  Location loc = dest.getLoc();
  SmallVector<Attribute> bags = llvm::map_to_vector(
      members, [](const Member &member) -> Attribute { return member.bag; });
  const Configuration &configuration = members.front().configuration;
  ArrayAttr bagsAttr = builder.getArrayAttr(bags);
  auto row = TypeAttr::get(configuration.row);
  if (!configuration.pooling)
    return EmbeddingGroupOp::create(
        builder, loc, dest.getType(), batches.front(), dest, bagsAttr, row,
        configuration.policy, LoweringConfigAttr(), GPULoweringConfigAttr());
  UnitAttr weighted = configuration.weighting == Weighting::sample
                          ? builder.getUnitAttr()
                          : UnitAttr();
  return EmbeddingBagGroupOp::create(
      builder, loc, dest.getType(), configuration.pooling, dest, batches,
      bagsAttr, row, weighted, configuration.policy, LoweringConfigAttr(),
      GPULoweringConfigAttr());
}

/// Erases an op, and what only it used.
static void eraseWithInputs(Operation *op) {
  SetVector<Operation *> inputs;
  for (Value input : op->getOperands())
    if (Operation *producer = input.getDefiningOp())
      inputs.insert(producer);
  op->erase();
  for (Operation *input : inputs)
    if (input->use_empty())
      eraseWithInputs(input);
}

LogicalResult GroupTablesPass::groupLookups(Operation *output,
                                            const SymbolTable &symbols) {
  FailureOr<SmallVector<Part>> parts = collectParts(output);
  if (failed(parts))
    return failure();
  FailureOr<Groups> groups = collectGroups(output, *parts, symbols);
  if (failed(groups))
    return failure();

  OpBuilder builder(output);
  Value result = EmptyOp::create(builder, output->getLoc(),
                                 output->getResult(0).getType());
  for (auto &[key, members] : *groups) {
    result = makeGroup(builder, getBatches(output), result, members);
    ++numGroups;
    numBags += members.size();
  }
  output->replaceAllUsesWith(ValueRange{result});
  eraseWithInputs(output);
  return success();
}
