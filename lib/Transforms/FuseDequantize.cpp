//===- FuseDequantize.cpp - Fuse a lookup with what follows it ------------===//
//
// Between a lookup and the pooled row the import layer has one value per row of
// every bag. Fused, a row goes from the table into accumulators:
//
//   %checked = trec.check_bounds warning %ids in @t
//   %rows = trec.lookup @t[%checked] : …
//   %values = trec.dequantize %rows : …
//   %weighted = trec.weight %values by %weights : …   // may be missing
//   %pooled = trec.pool sum %weighted : …
//   %half = trec.cast_output %pooled : …              // may be missing
//
// becomes
//
//   %half = trec.embedding_bag sum @t[%ids] weights %weights bounds warning : …
//
// and a chain that ends in trec.materialize, or has trec.stored_bytes behind
// the lookup, becomes a trec.embedding. A trec.remap between check and lookup
// becomes an attribute of either.
//
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::trec {
#define GEN_PASS_DEF_FUSEDEQUANTIZEPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

namespace {

/// The op of type OpT that makes `value`, if nothing else uses its result: else
/// fusing it would compute it twice.
template <typename OpT> OpT getSoleProducer(Value value) {
  auto op = value.getDefiningOp<OpT>();
  return op && op->hasOneUse() ? op : OpT();
}

/// The ops in front of a row, each used only for the next.
struct LookupChain {
  CheckBoundsOp check;
  RemapOp remap; // may be missing
  LookupOp lookup;
  DequantizeOp dequantize; // missing in front of a stored row

  FlatSymbolRefAttr getRemap() {
    return remap ? remap.getMapAttr() : FlatSymbolRefAttr();
  }

  void erase(PatternRewriter &rewriter) {
    if (dequantize)
      rewriter.eraseOp(dequantize);
    rewriter.eraseOp(lookup);
    if (remap)
      rewriter.eraseOp(remap);
    // Has an effect, so that nothing but its fusion may remove it.
    rewriter.eraseOp(check);
  }
};

/// The chain that ends in the stored `rows`, if all of it can be fused into
/// `root`.
static FailureOr<LookupChain> matchLookup(Operation *root, Value rows,
                                          PatternRewriter &rewriter) {
  LookupChain chain;
  chain.lookup = getSoleProducer<LookupOp>(rows);
  if (!chain.lookup)
    return rewriter.notifyMatchFailure(
        root, "its rows are not those of a lookup used once");
  chain.remap = getSoleProducer<RemapOp>(chain.lookup.getIds());
  Value checked = chain.remap ? chain.remap.getIds() : chain.lookup.getIds();
  FlatSymbolRefAttr bounds =
      chain.remap ? chain.remap.getMapAttr() : chain.lookup.getTableAttr();
  chain.check = getSoleProducer<CheckBoundsOp>(checked);
  if (!chain.check || chain.check.getTableAttr() != bounds)
    return rewriter.notifyMatchFailure(
        root, "its ids are not checked against its table, or used again");
  return chain;
}

/// The chain that ends in dequantized `values`.
static FailureOr<LookupChain> matchChain(Operation *root, Value values,
                                         PatternRewriter &rewriter) {
  auto dequantize = getSoleProducer<DequantizeOp>(values);
  if (!dequantize)
    return rewriter.notifyMatchFailure(
        root, "its rows are not those of a dequantize used once");
  FailureOr<LookupChain> chain =
      matchLookup(root, dequantize.getRows(), rewriter);
  if (succeeded(chain))
    chain->dequantize = dequantize;
  return chain;
}

struct FusePool : public OpRewritePattern<PoolOp> {
  FusePool(MLIRContext *context, Pass::Statistic &numBags)
      : OpRewritePattern(context), numBags(numBags) {}

  LogicalResult matchAndRewrite(PoolOp pool,
                                PatternRewriter &rewriter) const override {
    auto weight = getSoleProducer<WeightOp>(pool.getValues());
    Value values = weight ? weight.getValues() : pool.getValues();
    FailureOr<LookupChain> chain = matchChain(pool, values, rewriter);
    if (failed(chain))
      return failure();
    rewriter.replaceOpWithNewOp<EmbeddingBagOp>(
        pool, pool.getType(), pool.getPoolingAttr(),
        chain->lookup.getTableAttr(), chain->check.getIds(),
        weight ? weight.getWeights() : Value(), FlatSymbolRefAttr(),
        chain->getRemap(), chain->check.getPolicyAttr());
    if (weight)
      rewriter.eraseOp(weight);
    chain->erase(rewriter);
    ++numBags;
    return success();
  }

  Pass::Statistic &numBags;
};

/// Fuses what makes the rows of an output: trec.materialize or
/// trec.stored_bytes.
template <typename OpT> struct FuseRows : public OpRewritePattern<OpT> {
  FuseRows(MLIRContext *context, Pass::Statistic &numEmbeddings)
      : OpRewritePattern<OpT>(context), numEmbeddings(numEmbeddings) {}

  LogicalResult matchAndRewrite(OpT op,
                                PatternRewriter &rewriter) const override {
    FailureOr<LookupChain> chain = match(op, rewriter);
    if (failed(chain))
      return failure();
    rewriter.replaceOpWithNewOp<EmbeddingOp>(
        op, op.getType(), chain->lookup.getTableAttr(), chain->check.getIds(),
        chain->getRemap(), chain->check.getPolicyAttr());
    chain->erase(rewriter);
    ++numEmbeddings;
    return success();
  }

  static FailureOr<LookupChain> match(MaterializeOp op,
                                      PatternRewriter &rewriter) {
    return matchChain(op, op.getValues(), rewriter);
  }
  static FailureOr<LookupChain> match(StoredBytesOp op,
                                      PatternRewriter &rewriter) {
    return matchLookup(op, op.getRows(), rewriter);
  }

  Pass::Statistic &numEmbeddings;
};

struct FuseCast : public OpRewritePattern<CastOutputOp> {
  FuseCast(MLIRContext *context, Pass::Statistic &numCasts)
      : OpRewritePattern(context), numCasts(numCasts) {}

  LogicalResult matchAndRewrite(CastOutputOp cast,
                                PatternRewriter &rewriter) const override {
    auto bag = getSoleProducer<EmbeddingBagOp>(cast.getPooled());
    if (!bag)
      return rewriter.notifyMatchFailure(
          cast, "its operand is not an embedding_bag used once");
    rewriter.replaceOpWithNewOp<EmbeddingBagOp>(
        cast, cast.getType(), bag.getPoolingAttr(), bag.getTableAttr(),
        bag.getIds(), bag.getWeights(), bag.getPositionWeightsAttr(),
        bag.getRemapAttr(), bag.getPolicyAttr());
    rewriter.eraseOp(bag);
    ++numCasts;
    return success();
  }

  Pass::Statistic &numCasts;
};

struct FuseDequantizePass
    : public trec::impl::FuseDequantizePassBase<FuseDequantizePass> {
  using FuseDequantizePassBase::FuseDequantizePassBase;

  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet set(context);
    set.add<FusePool>(context, numBags);
    set.add<FuseRows<MaterializeOp>, FuseRows<StoredBytesOp>>(context,
                                                              numEmbeddings);
    set.add<FuseCast>(context, numCasts);
    patterns = std::move(set);
    return success();
  }

  void runOnOperation() override {
    if (failed(applyPatternsGreedily(getOperation(), patterns)))
      signalPassFailure();
  }

  FrozenRewritePatternSet patterns;
};

} // namespace
