//===- FusePositionWeights.cpp - Fuse weights by position -----------------===//
//
// A weight by position depends on nothing but where an id is in its bag: the
// kernel reads it from the parameter, and no weight per id is stored.
//
//   %w = trec.position_weights %ids from @p
//   %pooled = trec.embedding_bag sum @t[%ids] weights %w bounds fatal : …
//
// becomes
//
//   %pooled = trec.embedding_bag sum @t[%ids] position_weights @p bounds …
//
//===----------------------------------------------------------------------===//

#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/Passes.h"

namespace mlir::trec {
#define GEN_PASS_DEF_FUSEPOSITIONWEIGHTSPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

/// Fuses the weights of one lookup; false where they are not by position.
static bool fuseWeights(EmbeddingBagOp lookup) {
  Value weights = lookup.getWeights();
  auto byPosition =
      weights ? weights.getDefiningOp<PositionWeightsOp>() : nullptr;
  if (!byPosition || byPosition.getIds() != lookup.getIds())
    return false;
  lookup.setPositionWeightsAttr(byPosition.getParameterAttr());
  lookup.getWeightsMutable().clear();
  if (byPosition->use_empty())
    byPosition.erase();
  return true;
}

namespace {

struct FusePositionWeightsPass
    : public trec::impl::FusePositionWeightsPassBase<FusePositionWeightsPass> {
  using FusePositionWeightsPassBase::FusePositionWeightsPassBase;

  void runOnOperation() override {
    getOperation().walk([&](EmbeddingBagOp lookup) {
      if (fuseWeights(lookup))
        ++numFused;
    });
  }
};

} // namespace
