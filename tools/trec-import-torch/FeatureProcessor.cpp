//===- FeatureProcessor.cpp - Weights by position of a batch --------------===//

#include "FeatureProcessor.h"

#include "StoredValues.h"

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

static const char batchClass[] =
    "torchrec.sparse.jagged_tensor.KeyedJaggedTensor";
static const char processorClass[] =
    "torchrec.modules.feature_processor_.PositionWeightedModuleCollection";
static const char weightsFunction[] =
    "torchrec.modules.feature_processor_.get_weights_list";
static const char stridesFunction[] =
    "torchrec.modules.feature_processor_.get_stride_per_key_per_rank";

namespace {

class ProcessorFinder {
public:
  ProcessorFinder(const Place &place, const std::string &where)
      : place(place), where(where) {}

  std::optional<ProcessedBatch> findModule(Value *batch) const;
  std::optional<ProcessedBatch> findSteps(Value *batch) const;

private:
  [[noreturn]] void fail(const std::string &expected,
                         const std::string &got) const {
    throw ReadError(where + ": expected " + expected +
                    " as in TorchRec's PositionWeightedModuleCollection, got " +
                    got);
  }
  [[noreturn]] void refusePreProcessed() const {
    throw ReadError(where +
                    ": expected positions that the processor counts, got "
                    "positions from the weights of the batch, for it has "
                    "pre-processed an input; trace a fresh module");
  }
  std::vector<float> readWeights(const c10::IValue &value,
                                 const std::string &feature) const;
  void checkPositions(Value *positions, Value *batch) const;
  void checkRest(Node *init, Value *batch) const;

  const Place &place;
  const std::string &where;
};

} // namespace

std::vector<float>
ProcessorFinder::readWeights(const c10::IValue &value,
                             const std::string &feature) const {
  if (!value.isTensor())
    fail("weights of feature '" + feature + "' that are stored",
         "computed ones");
  return readFloats(value.toTensor(),
                    where + ", weights of feature '" + feature + "'");
}

/// `batch.method()`, without arguments.
static bool isOf(Value *value, const char *method, Value *batch) {
  Node *call = findMethodCall(value, batchClass, method);
  return call && call->input(0) == batch;
}

/// The positions are `offsets_range(offsets.long(), numel(values))`.
void ProcessorFinder::checkPositions(Value *positions, Value *batch) const {
  Node *range = positions->node();
  if (range->kind() != c10::Symbol::fromQualString("fbgemm::offsets_range")) {
    // A copy of the batch's weights, as integers.
    Node *step = range;
    while (step->kind() == c10::aten::to || step->kind() == c10::aten::clone)
      step = step->input(0)->node();
    if (isOf(step->output(), "weights", batch))
      refusePreProcessed();
    fail("positions in bags", describeValue(positions));
  }
  Node *wide = range->input(0)->node();
  Node *count = range->input(1)->node();
  if (wide->kind() != c10::aten::to || !isOf(wide->input(0), "offsets", batch))
    fail("positions by the batch's offsets", describeValue(range->input(0)));
  if (count->kind() != c10::aten::numel ||
      !isOf(count->input(0), "values", batch))
    fail("positions of all the batch's ids", describeValue(range->input(1)));
}

/// Everything but the weights is the batch's own.
void ProcessorFinder::checkRest(Node *init, Value *batch) const {
  Value *weights = findArgument(init, "weights");
  for (size_t i = 1; i < init->inputs().size(); ++i) {
    Value *value = init->input(i);
    if (value == weights || isNone(value))
      continue;
    Node *strides = findCall(value, stridesFunction);
    if (strides && strides->input(1) == batch)
      continue;
    Node *call = value->node();
    if (call->kind() != prim::CallMethod || call->input(0) != batch ||
        findArgument(init, call->s(c10::attr::name).c_str()) != value)
      fail("a batch with new weights alone", describeValue(value));
  }
}

/// The form in which the steps of the processor's forward were traced.
std::optional<ProcessedBatch> ProcessorFinder::findSteps(Value *batch) const {
  if (batch->node()->kind() != prim::CreateObject)
    return std::nullopt;
  for (const torch::jit::Use &use : batch->uses()) {
    if (use.user->kind() != prim::CallMethod || use.offset != 0 ||
        use.user->s(c10::attr::name) != "__init__")
      continue;
    Value *weights = findArgument(use.user, "weights");
    Node *list = weights ? findCall(weights, weightsFunction) : nullptr;
    if (!list || list->inputs().size() != 4)
      continue;
    ProcessedBatch result{list->input(2), {}};
    checkPositions(list->input(1), result.batch);
    checkRest(use.user, result.batch);
    Node *dict = list->input(3)->node();
    if (dict->kind() != prim::DictConstruct)
      fail("weights by feature", describeValue(list->input(3)));
    for (size_t i = 0; i + 1 < dict->inputs().size(); i += 2) {
      auto feature = evaluate(place.module, dict->input(i));
      if (!feature || !feature->isString())
        fail("names of features", describeValue(dict->input(i)));
      const std::string &name = feature->toStringRef();
      result.weights[name] = readWeights(
          evaluate(place.module, dict->input(i + 1)).value_or(c10::IValue()),
          name);
    }
    return result;
  }
  return std::nullopt;
}

/// The form in which the processor is a module that is called.
std::optional<ProcessedBatch> ProcessorFinder::findModule(Value *batch) const {
  Node *call = findMethodCall(batch, processorClass, "forward");
  if (!call || call->inputs().size() != 2)
    return std::nullopt;
  auto module = evaluate(place.module, call->input(0));
  if (!module || !module->isObject())
    fail("a processor that is stored", describeValue(call->input(0)));
  Attributes attributes(module->toObject(), where);
  c10::IValue isPreProcessed = attributes.get("_pre_processed");
  c10::IValue weights = attributes.get("position_weights_dict");
  if (!isPreProcessed.isBool() || !weights.isGenericDict())
    fail("the attributes _pre_processed and position_weights_dict",
         "others in a module of this name");
  if (isPreProcessed.toBool())
    refusePreProcessed();
  ProcessedBatch result{call->input(1), {}};
  for (const auto &entry : weights.toGenericDict()) {
    if (!entry.key().isString())
      fail("names of features", entry.key().tagKind());
    const std::string &name = entry.key().toStringRef();
    result.weights[name] = readWeights(entry.value(), name);
  }
  return result;
}

std::optional<ProcessedBatch>
mlir::trec::findPositionWeights(const Place &place, Value *batch,
                                const std::string &where) {
  ProcessorFinder finder(place, where);
  if (auto found = finder.findModule(batch))
    return found;
  return finder.findSteps(batch);
}
