//===- BatchOrigin.cpp - Which features a lookup is given -----------------===//

#include "BatchOrigin.h"

#include <numeric>

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

static const char batchClass[] =
    "torchrec.sparse.jagged_tensor.KeyedJaggedTensor";
static const char jaggedModule[] = "torchrec.sparse.jagged_tensor.";
static const char keysFunction[] =
    "torchrec.quant.embedding_modules._get_kjt_keys";
static const char permuteFunction[] =
    "torchrec.quant.embedding_modules._permute_kjt";
static const char unwrapFunction[] =
    "torchrec.quant.embedding_modules._fx_trec_unwrap_kjt";
static const char deviceFunction[] =
    "fbgemm_gpu.split_table_batched_embeddings_ops_inference.inputs_to_device";

/// What computes a value, for an error.
static std::string describe(Value *value) {
  Node *node = value->node();
  std::string function = calledFunction(node);
  if (!function.empty())
    return function;
  if (node->kind() == prim::CallMethod)
    return className(node->input(0)->type()) + "." + node->s(c10::attr::name);
  if (node->kind() == prim::Param)
    return "input '" + value->debugNameBase() + "'";
  return node->kind().toQualString();
}

namespace {

class OriginFinder {
public:
  OriginFinder(const Place &place, const Lookup &lookup)
      : place(place), lookup(lookup) {}

  BatchOrigin find();

private:
  [[noreturn]] void fail(const std::string &expected, Value *got) const;
  Value *skipDeviceCopy(Value *value) const;
  Value *findShare() const;
  bool isWeighted(Value *share) const;
  std::vector<std::string> readOrder(Node *permute) const;
  void checkBatch(Value *value) const;
  void checkBuilt(Value *value) const;

  const Place &place;
  const Lookup &lookup;
};

} // namespace

void OriginFinder::fail(const std::string &expected, Value *got) const {
  throw ReadError(describeModule(place.path) + ": expected " + expected +
                  " as in a traced collection of torchrec.quant, got " +
                  describe(got));
}

/// FBGEMM's forward first moves its arguments to where the weights are.
Value *OriginFinder::skipDeviceCopy(Value *value) const {
  std::optional<Element> element = findElement(value);
  if (!element)
    return value;
  Node *call = findCall(element->aggregate, deviceFunction);
  // Input 0 is the function.
  return call ? call->input(element->index + 1) : value;
}

/// The batch of this lookup alone: ids and offsets are its two tensors.
Value *OriginFinder::findShare() const {
  Value *share = nullptr;
  Value *parts[] = {lookup.indices, lookup.offsets};
  for (int64_t part : {0, 1}) {
    Value *value = skipDeviceCopy(parts[part]);
    std::optional<Element> element = findElement(value);
    Node *unwrap =
        element ? findCall(element->aggregate, unwrapFunction) : nullptr;
    if (!unwrap || element->index != part ||
        (share && share != unwrap->input(1)))
      fail("ids and offsets of one batch", value);
    share = unwrap->input(1);
  }
  return share;
}

bool OriginFinder::isWeighted(Value *share) const {
  Value *value = skipDeviceCopy(lookup.weights);
  if (isNone(value))
    return false;
  Node *call = findMethodCall(value, batchClass, "weights");
  if (!call || call->input(0) != share)
    fail("weights of the batch that the ids are of", value);
  return true;
}

/// The names that the batch is permuted to.
std::vector<std::string> OriginFinder::readOrder(Node *permute) const {
  Value *order = permute->input(2);
  auto indices = listElements(order);
  if (!indices)
    fail("an order of features", order);
  std::vector<std::string> names;
  for (Value *index : *indices) {
    Node *call = index->node();
    if (call->kind() == prim::Constant)
      throw ReadError(describeModule(place.path) +
                      ": expected features by name, got positions, which "
                      "caching their order leaves after a first call; trace "
                      "the module before it is called");
    if (call->kind() != c10::aten::index)
      fail("features by name", index);
    Node *keys = findCall(call->input(0), keysFunction);
    auto name = evaluate(place.module, call->input(1));
    if (!keys || keys->input(1) != permute->input(1) || !name ||
        !name->isString())
      fail("the place of a name among the batch's keys", call->input(0));
    names.push_back(name->toStringRef());
  }
  return names;
}

/// A batch that the archive builds of its inputs is as good as an input.
void OriginFinder::checkBuilt(Value *value) const {
  for (const torch::jit::Use &use : value->uses())
    if (use.user->kind() == prim::CallMethod && use.offset == 0 &&
        use.user->s(c10::attr::name) == "__init__")
      for (size_t i = 1; i < use.user->inputs().size(); ++i)
        checkBatch(use.user->input(i));
}

/// Refuses a batch whose ids or weights the archive computes: an import of the
/// collection alone would leave that step out and say nothing.
void OriginFinder::checkBatch(Value *value) const {
  Node *node = value->node();
  Value *self = value->owningGraph()->inputs().at(0);
  bool isJagged =
      calledFunction(node).rfind(jaggedModule, 0) == 0 ||
      (node->kind() == prim::CallMethod &&
       className(node->input(0)->type()).rfind(jaggedModule, 0) == 0);
  bool isPassedOn =
      isJagged || findElement(value) || node->kind() == prim::ListConstruct ||
      node->kind() == prim::TupleConstruct ||
      node->kind() == prim::unchecked_cast ||
      node->kind() == c10::aten::__getitem__ || node->kind() == prim::GetAttr;
  if (node->kind() == prim::Constant ||
      (node->kind() == prim::Param && value != self))
    return;
  if (node->kind() == prim::CreateObject)
    return checkBuilt(value);
  if (!isPassedOn)
    throw ReadError(
        describeModule(place.path) +
        ": expected ids and weights that are inputs of its forward, got what "
        "the archive computes by " +
        describe(value) +
        "; an import would leave that step out; save the collection alone and "
        "run the step before it");
  for (Value *input : node->inputs())
    if (!input->type()->cast<c10::FunctionType>())
      checkBatch(input);
}

BatchOrigin OriginFinder::find() {
  Value *share = findShare();
  std::optional<Element> element = findElement(share);
  Node *split = element
                    ? findMethodCall(element->aggregate, batchClass, "split")
                    : nullptr;
  if (!split)
    fail("a part of a batch that was split", share);
  Node *permute = findCall(split->input(0), permuteFunction);
  if (!permute)
    fail("a permuted batch", split->input(0));
  std::vector<std::string> order = readOrder(permute);
  auto sizes = evaluateIntegers(place.module, split->input(1));
  if (!sizes)
    fail("constant sizes of parts", split->input(1));
  if (element->index < 0 || element->index >= int64_t(sizes->size()) ||
      std::accumulate(sizes->begin(), sizes->end(), int64_t(0)) !=
          int64_t(order.size()))
    fail("parts of all the features", split->input(1));
  auto part = sizes->begin() + element->index;
  int64_t begin = std::accumulate(sizes->begin(), part, int64_t(0));

  BatchOrigin origin;
  origin.batch = permute->input(1);
  origin.features.assign(order.begin() + begin, order.begin() + begin + *part);
  origin.weighted = isWeighted(share);
  checkBatch(origin.batch);
  return origin;
}

BatchOrigin mlir::trec::findOrigin(const Place &place, const Lookup &lookup) {
  return OriginFinder(place, lookup).find();
}
