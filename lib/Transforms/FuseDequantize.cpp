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

struct FusePool : public OpRewritePattern<PoolOp> {
  FusePool(MLIRContext *context, Pass::Statistic &numBags)
      : OpRewritePattern(context), numBags(numBags) {}

  LogicalResult matchAndRewrite(PoolOp pool,
                                PatternRewriter &rewriter) const override {
    auto weight = getSoleProducer<WeightOp>(pool.getValues());
    Value values = weight ? weight.getValues() : pool.getValues();
    auto dequantize = getSoleProducer<DequantizeOp>(values);
    if (!dequantize)
      return rewriter.notifyMatchFailure(
          pool, "its rows are not those of a dequantize used once");
    auto lookup = getSoleProducer<LookupOp>(dequantize.getRows());
    if (!lookup)
      return rewriter.notifyMatchFailure(
          dequantize, "its rows are not those of a lookup used once");
    auto check = getSoleProducer<CheckBoundsOp>(lookup.getIds());
    if (!check || check.getTableAttr() != lookup.getTableAttr())
      return rewriter.notifyMatchFailure(
          lookup, "its ids are not checked against its table, or used again");

    rewriter.replaceOpWithNewOp<EmbeddingBagOp>(
        pool, pool.getType(), pool.getPoolingAttr(), lookup.getTableAttr(),
        check.getIds(), weight ? weight.getWeights() : Value(),
        check.getPolicyAttr());
    if (weight)
      rewriter.eraseOp(weight);
    rewriter.eraseOp(dequantize);
    rewriter.eraseOp(lookup);
    // Has an effect, so that nothing but its fusion may remove it.
    rewriter.eraseOp(check);
    ++numBags;
    return success();
  }

  Pass::Statistic &numBags;
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
        bag.getIds(), bag.getWeights(), bag.getPolicyAttr());
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
