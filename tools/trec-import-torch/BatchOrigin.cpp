//===- BatchOrigin.cpp - Which features a lookup is given -----------------===//

#include "BatchOrigin.h"

#include "FeatureProcessor.h"

#include <numeric>
#include <set>

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
  void readShare(BatchOrigin &origin) const;
  void readProcessor(BatchOrigin &origin) const;
  std::vector<Value *> findSources(Value *value) const;
  void checkBatch(Value *batch) const;

  const Place &place;
  const Lookup &lookup;
};

} // namespace

void OriginFinder::fail(const std::string &expected, Value *got) const {
  throw ReadError(describeModule(place.path) + ": expected " + expected +
                  " as in a traced collection of torchrec.quant, got " +
                  describeValue(got));
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

/// The part of the batch for this lookup: ids and offsets are its two tensors.
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
  // Caching the order adds it as a tensor, which is what permutes.
  Value *cached = permute->input(3);
  if (!isNone(cached) && (cached->node()->kind() != c10::aten::tensor ||
                          listElements(cached->node()->input(0)) != indices))
    fail("a tensor of the order of features", cached);
  return names;
}

/// What a value of a batch is made of: nothing for an input of the forward and
/// for a constant.
std::vector<Value *> OriginFinder::findSources(Value *value) const {
  Node *node = value->node();
  torch::jit::Graph *graph = value->owningGraph();
  bool isInput = node == graph->param_node() && value != graph->inputs().at(0);
  if (node->kind() == prim::Constant || isInput)
    return {};
  std::vector<Value *> sources;
  // A batch that the archive builds of its inputs is as good as an input.
  if (node->kind() == prim::CreateObject) {
    for (const torch::jit::Use &use : value->uses())
      if (use.user->kind() == prim::CallMethod && use.offset == 0 &&
          use.user->s(c10::attr::name) == "__init__")
        for (size_t i = 1; i < use.user->inputs().size(); ++i)
          sources.push_back(use.user->input(i));
    return sources;
  }
  bool isJagged =
      calledFunction(node).rfind(jaggedModule, 0) == 0 ||
      (node->kind() == prim::CallMethod &&
       className(node->input(0)->type()).rfind(jaggedModule, 0) == 0);
  bool isPassedOn =
      isJagged || findElement(value) || node->kind() == prim::ListConstruct ||
      node->kind() == prim::TupleConstruct ||
      node->kind() == prim::unchecked_cast ||
      node->kind() == c10::aten::__getitem__ || node->kind() == prim::GetAttr;
  if (!isPassedOn)
    throw ReadError(
        describeModule(lookup.collectionPath.value_or(place.path)) +
        ": expected ids and weights that are inputs of its forward, got what "
        "the archive computes by " +
        describeValue(value) +
        "; an import would leave that step out; save the collection alone and "
        "run the step before it");
  for (Value *input : node->inputs())
    if (!input->type()->cast<c10::FunctionType>())
      sources.push_back(input);
  return sources;
}

/// Refuses a batch whose ids or weights the archive computes: an import of the
/// collection alone would leave that step out and say nothing.
void OriginFinder::checkBatch(Value *batch) const {
  std::vector<Value *> left = {batch};
  std::set<Value *> seen;
  while (!left.empty()) {
    Value *value = left.back();
    left.pop_back();
    if (!seen.insert(value).second)
      continue;
    std::vector<Value *> sources = findSources(value);
    left.insert(left.end(), sources.rbegin(), sources.rend());
  }
}

/// Goes from the lookup's part of the batch to the whole one, and to the names
/// of the features.
void OriginFinder::readShare(BatchOrigin &origin) const {
  origin.share = findShare();
  std::optional<Element> element = findElement(origin.share);
  origin.split = element
                     ? findMethodCall(element->aggregate, batchClass, "split")
                     : nullptr;
  if (!origin.split)
    fail("a part of a batch that was split", origin.share);
  Value *permuted = origin.split->input(0);
  Node *permute = findCall(permuted, permuteFunction);
  if (!permute || permute->inputs().size() != 4)
    fail("a permuted batch", permuted);
  std::vector<std::string> order = readOrder(permute);
  auto sizes = evaluateIntegers(place.module, origin.split->input(1));
  if (!sizes)
    fail("constant sizes of parts", origin.split->input(1));
  if (element->index < 0 || element->index >= int64_t(sizes->size()) ||
      std::any_of(
          sizes->begin(), sizes->end(),
          [](int64_t size) { return size < 0; }) ||
      std::accumulate(sizes->begin(), sizes->end(), int64_t(0)) !=
          int64_t(order.size()))
    fail("parts of all the features", origin.split->input(1));
  auto part = sizes->begin() + element->index;
  auto begin =
      order.begin() + std::accumulate(sizes->begin(), part, int64_t(0));
  origin.features.assign(begin, begin + *part);
  origin.part = element->index;
  origin.numParts = sizes->size();
  origin.batch = permute->input(1);
}

/// Where the weights come from a feature processor, goes to the batch before
/// it.
void OriginFinder::readProcessor(BatchOrigin &origin) const {
  std::string where =
      describeModule(lookup.collectionPath.value_or(place.path));
  auto processed = findPositionWeights(place, origin.batch, where);
  if (!processed)
    return;
  origin.batch = processed->batch;
  if (!origin.weighted)
    return;
  origin.weighted = false;
  for (const std::string &feature : origin.features) {
    auto weights = processed->weights.find(feature);
    if (weights == processed->weights.end())
      throw ReadError(where + ", feature '" + feature +
                      "': expected position weights of every feature, got "
                      "none, which TorchRec takes for ones in bags of any "
                      "length; give the processor weights of it");
    origin.positionWeights.push_back({feature, weights->second});
  }
}

BatchOrigin OriginFinder::find() {
  BatchOrigin origin;
  readShare(origin);
  origin.weighted = isWeighted(origin.share);
  readProcessor(origin);
  checkBatch(origin.batch);
  return origin;
}

BatchOrigin mlir::trec::findOrigin(const Place &place, const Lookup &lookup) {
  return OriginFinder(place, lookup).find();
}
