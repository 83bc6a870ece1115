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
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/Passes.h"

#include "llvm/ADT/MapVector.h"

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

/// One lookup on its way into a group.
struct Member {
  Configuration configuration;
  BagAttr bag;
  Value kjt;
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
      if (isa<KeyedTensorOp, JaggedDictOp>(op))
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
  if (weights && weights.getKey() == feature.getKey())
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

static Member makeMember(EmbeddingBagOp lookup, FeatureOp feature,
                         int64_t column, const SymbolTable &symbols) {
  auto bag = BagAttr::get(
      lookup.getContext(), lookup.getTableAttr(), feature.getKeyAttr(), column,
      lookup.getPositionWeightsAttr(), lookup.getRemapAttr());
  return {{getRowType(lookup.getTable(), symbols), lookup.getPoolingAttr(),
           lookup.getPolicyAttr(), getWeighting(lookup),
           getRemapKind(lookup.getRemapAttr(), symbols)},
          bag,
          feature.getKjt()};
}

static Member makeMember(EmbeddingOp lookup, FeatureOp feature, int64_t column,
                         const SymbolTable &symbols) {
  auto bag = BagAttr::get(lookup.getContext(), lookup.getTableAttr(),
                          feature.getKeyAttr(), column, FlatSymbolRefAttr(),
                          lookup.getRemapAttr());
  return {{getRowType(lookup.getTable(), symbols), PoolingAttr(),
           lookup.getPolicyAttr(), Weighting::none,
           getRemapKind(lookup.getRemapAttr(), symbols)},
          bag,
          feature.getKjt()};
}

/// Describes the lookup of type OpT that makes one operand of an output.
template <typename OpT>
static FailureOr<Member> describeLookup(Operation *output, Value operand,
                                        int64_t column,
                                        const SymbolTable &symbols) {
  auto lookup = operand.getDefiningOp<OpT>();
  auto feature = lookup ? lookup.getIds().template getDefiningOp<FeatureOp>()
                        : FeatureOp();
  if (!feature || !lookup->hasOneUse()) {
    InFlightDiagnostic diagnostic =
        output->emitOpError("expected operands made by a ")
        << OpT::getOperationName() << " of a feature, used once";
    if (Operation *producer = operand.getDefiningOp())
      diagnostic.attachNote(producer->getLoc()) << "this operand is not";
    return diagnostic;
  }
  if constexpr (std::is_same_v<OpT, EmbeddingBagOp>)
    if (failed(verifySampleWeights(lookup, feature)))
      return failure();
  return makeMember(lookup, feature, column, symbols);
}

static FailureOr<Groups> collectGroups(Operation *output,
                                       const SymbolTable &symbols) {
  Groups groups;
  auto keyed = dyn_cast<KeyedTensorOp>(output);
  int64_t column = 0;
  for (auto [index, operand] : llvm::enumerate(output->getOperands())) {
    FailureOr<Member> member =
        keyed ? describeLookup<EmbeddingBagOp>(output, operand, column, symbols)
              : describeLookup<EmbeddingOp>(output, operand, column, symbols);
    if (failed(member))
      return failure();
    groups[member->configuration.asTuple()].push_back(*member);
    // A column of a KeyedTensor, the index of a key of a dict.
    column += keyed ? keyed.getKeyed().getType().getDims()[index] : 1;
  }
  return groups;
}

static Value makeGroup(OpBuilder &builder, Location loc, Value dest,
                       ArrayRef<Member> members) {
  SmallVector<Attribute> bags = llvm::map_to_vector(
      members, [](const Member &member) -> Attribute { return member.bag; });
  const Configuration &configuration = members.front().configuration;
  Value kjt = members.front().kjt;
  ArrayAttr bagsAttr = builder.getArrayAttr(bags);
  auto row = TypeAttr::get(configuration.row);
  if (!configuration.pooling)
    return EmbeddingGroupOp::create(builder, loc, dest.getType(), kjt, dest,
                                    bagsAttr, row, configuration.policy,
                                    LoweringConfigAttr());
  UnitAttr weighted = configuration.weighting == Weighting::sample
                          ? builder.getUnitAttr()
                          : UnitAttr();
  return EmbeddingBagGroupOp::create(
      builder, loc, dest.getType(), configuration.pooling, kjt, dest, bagsAttr,
      row, weighted, configuration.policy, LoweringConfigAttr());
}

/// Erases the fused lookups and what only they used.
static void eraseLookups(ValueRange operands) {
  for (Value operand : operands) {
    Operation *lookup = operand.getDefiningOp();
    SmallVector<Operation *> inputs;
    for (Value input : lookup->getOperands())
      inputs.push_back(input.getDefiningOp());
    lookup->erase();
    for (Operation *input : inputs)
      if (input->use_empty())
        input->erase();
  }
}

LogicalResult GroupTablesPass::groupLookups(Operation *output,
                                            const SymbolTable &symbols) {
  FailureOr<Groups> groups = collectGroups(output, symbols);
  if (failed(groups))
    return failure();

  OpBuilder builder(output);
  Value result = EmptyOp::create(builder, output->getLoc(),
                                 output->getResult(0).getType());
  for (auto &[key, members] : *groups) {
    result = makeGroup(builder, output->getLoc(), result, members);
    ++numGroups;
    numBags += members.size();
  }
  SmallVector<Value> operands(output->getOperands());
  output->replaceAllUsesWith(ValueRange{result});
  output->erase();
  eraseLookups(operands);
  return success();
}
