//===- Sequences.cpp - What is made of lookups without pooling ------------===//

#include "Sequences.h"

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;
namespace aten = c10::aten;

static const char jaggedClass[] = "torchrec.sparse.jagged_tensor.JaggedTensor";
static const char bytesFunction[] =
    "torchrec.modules.utils._maybe_quint4x2_to_int8";
static const char hintFunction[] =
    "torchrec.modules.utils._get_batching_hinted_output";
static const char listFunction[] = "torchrec.modules.utils._fx_to_list";
static const char lengthsFunction[] =
    "torchrec.quant.embedding_modules._get_feature_length";
static const char matrixFunction[] =
    "torchrec.quant.embedding_modules._get_unflattened_lengths";

/// Goes back through functions that give their argument as it is. Input 0 of a
/// call is the function.
static Value *skipHints(Value *value) {
  while (true) {
    if (Node *call = findCall(value, hintFunction))
      value = call->input(2);
    else if (Node *call = findCall(value, bytesFunction))
      value = call->input(1);
    else
      return value;
  }
}

/// The batch whose ids per feature these sizes are, or null:
/// `_fx_to_list(sum(_get_unflattened_lengths(_get_feature_length(b), n),
/// [1]))`.
static Value *findLengthsOwner(const torch::jit::Module &self, Value *sizes) {
  Node *list = findCall(sizes, listFunction);
  Node *sum = list ? list->input(1)->node() : nullptr;
  if (!sum || sum->kind() != aten::sum ||
      evaluateIntegers(self, sum->input(1)) != std::vector<int64_t>{1})
    return nullptr;
  Node *matrix = findCall(sum->input(0), matrixFunction);
  Node *lengths =
      matrix ? findCall(matrix->input(1), lengthsFunction) : nullptr;
  return lengths ? lengths->input(1) : nullptr;
}

/// The feature of a lookup whose rows these are: an element of
/// `torch.split(rows, sizes)`.
static std::optional<JaggedOutput> readCut(const torch::jit::Module &self,
                                           Value *rows) {
  std::optional<Element> element = findElement(rows);
  Node *split = element ? element->aggregate->node() : nullptr;
  if (!split ||
      (split->kind() != aten::split && split->kind() != aten::split_with_sizes))
    return std::nullopt;
  JaggedOutput output;
  output.lookup = skipHints(split->input(0))->node();
  output.feature = element->index;
  output.share = findLengthsOwner(self, split->input(1));
  bool isRow = isLookup(output.lookup) && output.share;
  return isRow ? std::optional(output) : std::nullopt;
}

/// A table that has a feature twice gives its rows twice, side by side.
static std::vector<Value *> findCuts(Value *values) {
  if (values->node()->kind() == aten::cat)
    if (auto parts = listElements(values->node()->input(0)))
      return *parts;
  return {values};
}

static std::vector<std::string> findKeys(const torch::jit::Module &self,
                                         Value *jagged) {
  std::vector<std::string> keys;
  for (const torch::jit::Use &use : jagged->uses())
    if (use.user->kind() == prim::DictConstruct && use.offset % 2 == 1)
      if (auto key = evaluate(self, use.user->input(use.offset - 1)))
        if (key->isString())
          keys.push_back(key->toStringRef());
  return keys;
}

std::vector<JaggedOutput>
mlir::trec::findJaggedOutputs(const torch::jit::Module &self,
                              torch::jit::Graph &graph) {
  std::vector<JaggedOutput> outputs;
  walkNodes(graph.block(), [&](Node *node) {
    if (node->kind() != prim::CallMethod ||
        node->s(c10::attr::name) != "__init__" ||
        className(node->input(0)->type()) != jaggedClass)
      return;
    Value *values = findArgument(node, "values");
    if (!values)
      return;
    for (Value *cut : findCuts(values))
      if (auto output = readCut(self, cut)) {
        output->keys = findKeys(self, node->input(0));
        outputs.push_back(std::move(*output));
      }
  });
  return outputs;
}
