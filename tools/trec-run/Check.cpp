//===- Check.cpp - trec-run --check ---------------------------------------===//
//
// Runs seeded batches through the compiled model, in every form that the C
// interface takes, and compares each bit of the output with what the
// interpreter makes of the IR that the library carries.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Compare.h"
#include "Magnitudes.h"
#include "trec/Import/WeightsFile.h"
#include "trec/Run/Call.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {

/// The tables of a check, and what keeps their bytes.
struct CheckedWeights {
  std::unique_ptr<RandomTables> random;
  std::unique_ptr<TensorFile> file;
  TableMap fromFile;

  const TableMap &getTables() const {
    return random ? random->getTables() : fromFile;
  }
};

class Checker {
public:
  Checker(const ModelIR &ir, const Model &model, const CheckedWeights &weights,
          bool isRelaxed)
      : ir(ir), model(model), tables(weights.getTables()),
        stride(weights.random ? weights.random->getStride() : 1),
        isRelaxed(isRelaxed) {}

  /// Compares one batch in all forms.
  Error check(const BatchShape &shape, uint64_t seed);
  /// Where bad ids are errors: that they are.
  Error checkRefusal(uint64_t seed);
  /// Where weights by position or promises bound the length of bags: that
  /// longer ones are errors.
  Error checkLongBags();
  bool refusesBadIds() const {
    return ir.getPolicy() == BoundsPolicy::fatal ||
           ir.getPolicy() == BoundsPolicy::none;
  }
  int64_t getStride() const { return stride; }

  int64_t numCalls = 0;
  int64_t numElements = 0;

private:
  Error checkForms(ArrayRef<Batch> batches, const Outputs &expected,
                   const Tolerance *tolerance);
  Error compareForm(ArrayRef<Batch> batches, const Outputs &expected,
                    const Tolerance *tolerance, const CallForm &form);
  Error expectStatus(ArrayRef<Batch> batches, int32_t expected,
                     const Twine &what);

  const ModelIR &ir;
  const Model &model;
  const TableMap &tables;
  int64_t stride;
  bool isRelaxed; // may differ from the interpreter by a tolerance
};

} // namespace

/// Above this random tables would be mostly zeros, so a file is preferred.
static constexpr int64_t largeBytes = int64_t(64) << 20;

static Error openWeights(const std::string &path, ModuleOp module,
                         CheckedWeights &weights) {
  Expected<TensorFile> file = TensorFile::open(path);
  if (!file)
    return file.takeError();
  weights.file = std::make_unique<TensorFile>(std::move(*file));
  Expected<std::vector<Tensor>> tensors = findTables(*weights.file, module);
  if (!tensors)
    return tensors.takeError();
  for (const Tensor &tensor : *tensors)
    weights.fromFile[tensor.name] = {tensor.bytes, tensor.shape.front()};
  return Error::success();
}

static Error chooseWeights(const ModelLibrary &library, const ModelIR &ir,
                           const RunOptions &options, CheckedWeights &weights) {
  std::string path = options.weights;
  std::string sibling = library.getSiblingWeights();
  if (path.empty() && countTableBytes(ir.getModule()) > largeBytes &&
      llvm::sys::fs::exists(sibling))
    path = sibling;
  if (!path.empty())
    return openWeights(path, ir.getModule(), weights);
  auto random = makeRandomTables(ir, options.seed);
  if (!random)
    return random.takeError();
  weights.random = std::move(*random);
  return Error::success();
}

Error Checker::compareForm(ArrayRef<Batch> batches, const Outputs &expected,
                           const Tolerance *tolerance, const CallForm &form) {
  std::string description = "batch size " +
                            std::to_string(batches.front().batchSize) + ", " +
                            form.describe();
  Call call(ir, batches, form);
  trec_error status;
  int64_t badBefore = model.countBadIds();
  if (call.run(model, status) != TREC_OK)
    return createStringError("call with " + description +
                             " failed: " + status.message);
  ++numCalls;
  int64_t badIds = model.countBadIds() - badBefore;
  if (badIds != int64_t(expected.badIds.size()))
    return createStringError("mismatch with " + description + ": expected " +
                             Twine(expected.badIds.size()) +
                             " bad ids counted, got " + Twine(badIds));
  numElements += countElements(ir.getOutputLayout(), call.getOutputs());
  Error error = compareOutputs(ir.getOutputLayout(), expected,
                               call.getOutputs(), tolerance);
  if (!error)
    return error;
  return createStringError("mismatch with " + description + ": " +
                           llvm::toString(std::move(error)));
}

/// The batch as a caller with other features may hold it: keys backwards, and
/// one more that the model does not know.
static Batch reorder(KJTType type, const Batch &batch) {
  Batch result;
  result.batchSize = batch.batchSize;
  result.keys.push_back("");
  result.lengths.assign(batch.batchSize, 1);
  result.values.assign(batch.batchSize, INT32_MAX);
  if (type.getWeighted())
    result.weights.assign(batch.batchSize, 1.0f);
  size_t end = batch.values.size();
  for (size_t key = batch.keys.size(); key-- > 0;) {
    result.keys.push_back(batch.keys[key]);
    auto lengths =
        ArrayRef(batch.lengths).slice(key * batch.batchSize, batch.batchSize);
    llvm::append_range(result.lengths, lengths);
    size_t begin = end;
    for (int64_t length : lengths)
      begin -= length;
    llvm::append_range(result.values,
                       ArrayRef(batch.values).slice(begin, end - begin));
    if (!batch.weights.empty())
      llvm::append_range(result.weights,
                         ArrayRef(batch.weights).slice(begin, end - begin));
    end = begin;
  }
  return result;
}

/// Every combination of types; int32 ids only where the ids fit.
static std::vector<CallForm> listForms(ArrayRef<Batch> batches) {
  bool fits = llvm::all_of(batches, [](const Batch &batch) {
    return llvm::all_of(batch.values, [](int64_t id) {
      return id >= INT32_MIN && id <= INT32_MAX;
    });
  });
  std::vector<CallForm> forms;
  for (int32_t valuesType : {TREC_INT64, TREC_INT32})
    for (bool withOffsets : {false, true})
      for (int32_t bagsType : {TREC_INT64, TREC_INT32})
        if (valuesType == TREC_INT64 || fits)
          forms.push_back({valuesType, withOffsets, bagsType});
  return forms;
}

static int64_t findLongestBag(ArrayRef<Batch> batches) {
  int64_t longest = 0;
  for (const Batch &batch : batches)
    for (int64_t length : batch.lengths)
      longest = std::max(longest, length);
  return longest;
}

Error Checker::check(const BatchShape &shape, uint64_t seed) {
  std::vector<Batch> batches =
      makeRandomBatches(ir.getModule(), tables, shape, seed);
  Expected<Outputs> expected = interpret(ir.getModule(), batches, tables);
  if (!expected)
    return expected.takeError();
  if (!isRelaxed)
    return checkForms(batches, *expected, nullptr);
  Magnitudes magnitudes(ir.getModule(), tables);
  Expected<Outputs> sums = interpret(ir.getModule(), Magnitudes::of(batches),
                                     magnitudes.getTables());
  if (!sums)
    return sums.takeError();
  Tolerance tolerance{
      *sums, Magnitudes::getTolerance(ir.getOutputLayout().getElement(),
                                      findLongestBag(batches))};
  return checkForms(batches, *expected, &tolerance);
}

Error Checker::checkForms(ArrayRef<Batch> batches, const Outputs &expected,
                          const Tolerance *tolerance) {
  for (const CallForm &form : listForms(batches))
    if (Error error = compareForm(batches, expected, tolerance, form))
      return error;
  std::vector<Batch> reordered;
  for (auto [type, batch] : llvm::zip_equal(ir.getBatchTypes(), batches))
    reordered.push_back(reorder(type, batch));
  return compareForm(reordered, expected, tolerance, CallForm());
}

Error Checker::checkRefusal(uint64_t seed) {
  BatchShape shape;
  shape.batchSize = 8;
  shape.badPerMille = 1000;
  std::vector<Batch> batches =
      makeRandomBatches(ir.getModule(), tables, shape, seed);
  bool isEmpty = llvm::all_of(
      batches, [](const Batch &batch) { return batch.values.empty(); });
  return expectStatus(batches, isEmpty ? TREC_OK : TREC_OUT_OF_BOUNDS,
                      "bad ids");
}

Error Checker::expectStatus(ArrayRef<Batch> batches, int32_t expected,
                            const Twine &what) {
  Call call(ir, batches, CallForm());
  trec_error error;
  int32_t status = call.run(model, error);
  ++numCalls;
  if (status == expected)
    return Error::success();
  return createStringError("mismatch with " + what + ": expected status " +
                           Twine(expected) + ", got " + Twine(status));
}

/// Two samples with as few ids as may be, skipped ones, but `count` of `key` in
/// the second, where the batch has such a key.
static Batch makeLongBag(KJTType type, const llvm::StringMap<BagLimits> &limits,
                         StringRef key, int64_t count) {
  Batch batch;
  batch.batchSize = 2;
  for (StringAttr other : type.getKeys()) {
    int64_t least = limits.lookup(other.getValue()).least;
    batch.keys.push_back(other.str());
    batch.lengths.push_back(least);
    batch.lengths.push_back(other == key ? count : least);
    batch.values.insert(batch.values.end(), least + batch.lengths.back(), -1);
  }
  if (type.getWeighted())
    batch.weights.assign(batch.values.size(), 1.0f);
  return batch;
}

Error Checker::checkLongBags() {
  SmallVector<KJTType> types = ir.getBatchTypes();
  for (size_t argument = 0; argument < types.size(); ++argument)
    for (const auto &limit : findBagLimits(ir.getModule(), argument)) {
      int64_t count = limit.getValue().most + 1;
      std::vector<Batch> batches;
      for (auto [index, type] : llvm::enumerate(types))
        batches.push_back(makeLongBag(
            type, findBagLimits(ir.getModule(), index),
            index == argument ? limit.getKey() : StringRef(), count));
      std::string what = "a bag of " + std::to_string(count) +
                         " ids of feature \"" + limit.getKey().str() + "\"";
      if (Error error = expectStatus(batches, TREC_INVALID_INPUT, what))
        return error;
    }
  return Error::success();
}

static Error checkBatches(Checker &checker, const RunOptions &options) {
  std::vector<int64_t> sizes = options.batchSizes;
  if (sizes.empty())
    sizes = {0, 1, 2, 7, 33};
  for (auto [index, size] : llvm::enumerate(sizes)) {
    BatchShape shape;
    shape.batchSize = size;
    shape.maxBagLength = options.bagLength;
    shape.stride = checker.getStride();
    // Bad ids in every other batch: both paths of a kernel are run.
    shape.badPerMille = checker.refusesBadIds() || index % 2 == 0 ? 0 : 30;
    if (Error error = checker.check(shape, options.seed + index))
      return error;
  }
  if (Error error = checker.checkLongBags())
    return error;
  return checker.refusesBadIds() ? checker.checkRefusal(options.seed)
                                 : Error::success();
}

Error mlir::trec::checkModel(const ModelLibrary &library,
                             const RunOptions &options, raw_ostream &os) {
  if (options.device.index >= 0 && !library.hasCPUNumericsOnGPU())
    return createStringError(
        library.getPath() +
        ": its numbers on a GPU are FBGEMM's there, not the interpreter's; "
        "compile it with --numerics=cpu to check it on one");
  Expected<ModelIR> ir = ModelIR::parse(library);
  if (!ir)
    return ir.takeError();
  CheckedWeights weights;
  if (Error error = chooseWeights(library, *ir, options, weights))
    return error;
  WeightsSource source;
  if (weights.random)
    source.tables = &weights.getTables();
  else
    source.path = weights.file->getPath();
  Expected<Model> model = Model::create(library, *ir, source, options);
  if (!model)
    return model.takeError();
  Checker checker(*ir, *model, weights, library.isRelaxed());
  if (Error error = checkBatches(checker, options))
    return createStringError(library.getPath() + ": " +
                             llvm::toString(std::move(error)));
  os << "check: " << checker.numCalls << " calls, " << checker.numElements
     << " elements compared, 0 differ"
     << (library.isRelaxed() ? " by more than the bound of relaxed numerics"
                             : "")
     << " ("
     << (model->getDevice() ? options.device.describe()
                            : ("level " + model->getLevel()).str())
     << ", weights " << (weights.random ? "random" : weights.file->getPath())
     << ", seed " << options.seed << ")\n";
  return Error::success();
}
