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
/// KeyedTensor.
struct Configuration {
  RowType row;
  PoolingAttr pooling;
  BoundsPolicyAttr policy;
  bool weighted;

  auto asTuple() const {
    return std::make_tuple(row.getAsOpaquePointer(),
                           pooling.getAsOpaquePointer(),
                           policy.getAsOpaquePointer(), weighted);
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
    SmallVector<KeyedTensorOp> outputs;
    getOperation().walk([&](KeyedTensorOp op) { outputs.push_back(op); });
    SymbolTable symbols(getOperation());
    for (KeyedTensorOp output : outputs)
      if (failed(groupLookups(output, symbols)))
        return signalPassFailure();
  }

  LogicalResult groupLookups(KeyedTensorOp output, const SymbolTable &symbols);
};

} // namespace

/// Describes the lookup that makes one operand of a KeyedTensor.
static FailureOr<Member> describeLookup(KeyedTensorOp output, Value pooled,
                                        int64_t column,
                                        const SymbolTable &symbols) {
  auto lookup = pooled.getDefiningOp<EmbeddingBagOp>();
  auto feature =
      lookup ? lookup.getIds().getDefiningOp<FeatureOp>() : FeatureOp();
  if (!feature || !lookup->hasOneUse()) {
    InFlightDiagnostic diagnostic = output.emitOpError(
        "expected operands made by a trec.embedding_bag of a feature, used "
        "once");
    if (Operation *producer = pooled.getDefiningOp())
      diagnostic.attachNote(producer->getLoc()) << "this operand is not";
    return diagnostic;
  }
  auto table = symbols.lookup<TableOp>(lookup.getTable());
  Configuration configuration{table.getType().getRowType(),
                              lookup.getPoolingAttr(), lookup.getPolicyAttr(),
                              bool(lookup.getWeights())};
  if (lookup.getWeights()) {
    auto weights = lookup.getWeights().getDefiningOp<SampleWeightsOp>();
    if (!weights || weights.getKey() != feature.getKey())
      return lookup.emitOpError("expected the sample weights of its feature, "
                                "\"")
             << feature.getKey() << '"';
  }
  auto bag = BagAttr::get(output.getContext(), lookup.getTableAttr(),
                          feature.getKeyAttr(), column);
  return Member{configuration, bag, feature.getKjt()};
}

static FailureOr<Groups> collectGroups(KeyedTensorOp output,
                                       const SymbolTable &symbols) {
  Groups groups;
  int64_t column = 0;
  for (auto [pooled, dim] :
       llvm::zip(output.getPooled(), output.getKeyed().getType().getDims())) {
    FailureOr<Member> member = describeLookup(output, pooled, column, symbols);
    if (failed(member))
      return failure();
    groups[member->configuration.asTuple()].push_back(*member);
    column += dim;
  }
  return groups;
}

/// Erases the fused lookups and what only they used.
static void eraseLookups(ValueRange pooled) {
  for (Value value : pooled) {
    auto lookup = value.getDefiningOp<EmbeddingBagOp>();
    SmallVector<Operation *> inputs{lookup.getIds().getDefiningOp()};
    if (lookup.getWeights())
      inputs.push_back(lookup.getWeights().getDefiningOp());
    lookup.erase();
    for (Operation *input : inputs)
      if (input->use_empty())
        input->erase();
  }
}

LogicalResult GroupTablesPass::groupLookups(KeyedTensorOp output,
                                            const SymbolTable &symbols) {
  FailureOr<Groups> groups = collectGroups(output, symbols);
  if (failed(groups))
    return failure();

  OpBuilder builder(output);
  Value result =
      EmptyOp::create(builder, output.getLoc(), output.getKeyed().getType());
  for (auto &[key, members] : *groups) {
    SmallVector<Attribute> bags = llvm::map_to_vector(
        members, [](const Member &member) -> Attribute { return member.bag; });
    const Configuration &configuration = members.front().configuration;
    result = EmbeddingBagGroupOp::create(
        builder, output.getLoc(), result.getType(), configuration.pooling,
        members.front().kjt, result, builder.getArrayAttr(bags),
        TypeAttr::get(configuration.row),
        configuration.weighted ? builder.getUnitAttr() : UnitAttr(),
        configuration.policy, LoweringConfigAttr());
    ++numGroups;
    numBags += bags.size();
  }
  SmallVector<Value> pooled(output.getPooled());
  output.replaceAllUsesWith(result);
  output.erase();
  eraseLookups(pooled);
  return success();
}
