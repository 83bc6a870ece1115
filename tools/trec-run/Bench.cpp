//===- Bench.cpp - trec-run --bench ---------------------------------------===//
//
// Times forward on random batches. A round is as many calls as take some
// milliseconds; the median of many rounds and the tenths at both ends are
// reported, for a mean would follow whatever else the machine does. On a GPU
// the calls of a round are put on one stream, and its end is waited for.
// Batches take turns, so many that the rows of one have left the caches before
// it comes again.
//
//===----------------------------------------------------------------------===//

#include "Call.h"
#include "Commands.h"
#include "trec/Bench/BenchBatch.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <chrono>
#include <numeric>
#include <unistd.h>

using namespace mlir;
using namespace mlir::trec;
using llvm::Error;
using llvm::Expected;

namespace {

/// Microseconds of one call.
struct Timing {
  double median = 0, p10 = 0, p90 = 0;
  int64_t rounds = 0;
  int64_t callsPerRound = 0;
};

using Calls = std::vector<std::unique_ptr<Call>>;

/// What the batches of a load are, on average.
struct BatchSizes {
  int64_t numBatches = 0;
  double ids = 0;
  double rowBytes = 0;
};

struct Result {
  BenchLoad load;
  BatchSizes sizes;
  Timing timing;
  trec_weights_info weights;
};

} // namespace

static constexpr double roundSeconds = 0.003;
static constexpr int minRounds = 31;
static constexpr int minBatches = 8, maxBatches = 32768;
/// How many times the caches the rows of all batches together are.
static constexpr int cacheMultiple = 3;
/// Of the ids and outputs of all batches.
static constexpr int64_t maxPreparedBytes = int64_t(512) << 20;

namespace {

/// Makes calls in turn, going on where it stopped.
class CallRing {
public:
  CallRing(Calls &calls, const Model &model) : calls(calls), model(model) {}

  /// Seconds that `count` calls take.
  Expected<double> time(int64_t count);

private:
  Calls &calls;
  const Model &model;
  size_t next = 0;
};

} // namespace

Expected<double> CallRing::time(int64_t count) {
  trec_error error;
  auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i) {
    if (calls[next]->launch(model, error) != TREC_OK)
      return llvm::createStringError(error.message);
    next = next + 1 == calls.size() ? 0 : next + 1;
  }
  if (model.getDevice() && model.finish(error) != TREC_OK)
    return llvm::createStringError(error.message);
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - begin;
  return elapsed.count();
}

/// The number of calls that fills a round. Also warms up.
static Expected<int64_t> countCalls(CallRing &ring) {
  for (int64_t count = 1;; count *= 2) {
    Expected<double> seconds = ring.time(count);
    if (!seconds)
      return seconds.takeError();
    if (*seconds >= roundSeconds)
      return count;
  }
}

static Timing summarize(std::vector<double> rounds, int64_t callsPerRound) {
  llvm::sort(rounds);
  size_t count = rounds.size();
  return {rounds[count / 2], rounds[count / 10], rounds[count - 1 - count / 10],
          int64_t(count), callsPerRound};
}

static Expected<Timing> timeRounds(CallRing ring, double seconds) {
  Expected<int64_t> count = countCalls(ring);
  if (!count)
    return count.takeError();
  std::vector<double> rounds;
  for (double spent = 0; int(rounds.size()) < minRounds || spent < seconds;) {
    Expected<double> taken = ring.time(*count);
    if (!taken)
      return taken.takeError();
    spent += *taken;
    rounds.push_back(*taken / double(*count) * 1e6);
  }
  return summarize(std::move(rounds), *count);
}

static TableMap getRowCounts(ModuleOp module, const RandomTables *random) {
  if (random)
    return random->getTables();
  TableMap tables;
  for (auto table : module.getOps<TableOp>())
    // Row 0 is in bounds of any table that is not empty.
    tables[table.getSymName()].rows =
        table.getType().hasDynamicRows() ? 1 : table.getType().getRows();
  for (auto parameter : module.getOps<ParameterOp>())
    tables[parameter.getSymName()].rows = parameter.getNumEntries().value_or(1);
  return tables;
}

/// Times do not depend on what rows hold, but on where they are.
static Expected<std::unique_ptr<RandomTables>>
makeResidentTables(const ModelIR &ir, uint64_t seed, Pages pages) {
  int64_t bytes = countTableBytes(ir.getModule());
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  if (bytes > memory / 2)
    return llvm::createStringError(
        "random tables of " + Twine(bytes) +
        " bytes do not fit into half of the memory of " + Twine(memory) +
        " bytes; pass --weights=FILE");
  auto tables = makeRandomTables(ir, seed, pages);
  if (tables)
    (*tables)->makeResident();
  return tables;
}

/// What the caches hold, as far as the system says.
static int64_t countCacheBytes(const Model &model) {
  int64_t bytes = model.getDevice() ? model.getDevice()->countCacheBytes() : 0;
  if (bytes)
    return bytes;
  for (int name : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE})
    bytes += std::max<int64_t>(0, sysconf(name));
  return bytes ? bytes : int64_t(32) << 20;
}

static int64_t countIds(ArrayRef<Batch> batches) {
  int64_t ids = 0;
  for (const Batch &batch : batches)
    ids += int64_t(batch.values.size());
  return ids;
}

static int64_t countPreparedBytes(ArrayRef<Batch> batches, const ModelIR &ir) {
  const OutputLayout &layout = ir.getOutputLayout();
  int64_t columns = layout.getDims().front();
  if (layout.isPooled())
    columns = std::accumulate(layout.getDims().begin(), layout.getDims().end(),
                              int64_t(0));
  int64_t ids = countIds(batches), integers = ids;
  for (const Batch &batch : batches)
    integers += int64_t(batch.lengths.size());
  int64_t rows = layout.isPooled() ? batches.front().batchSize : ids;
  return integers * 8 + rows * columns * layout.getElementBytes();
}

static int64_t countBatches(int64_t cacheBytes, int64_t rowBytes,
                            int64_t preparedBytes) {
  int64_t wanted = cacheMultiple * cacheBytes / std::max<int64_t>(1, rowBytes);
  int64_t allowed = maxPreparedBytes / std::max<int64_t>(1, preparedBytes);
  return std::clamp<int64_t>(std::min(wanted, allowed), minBatches, maxBatches);
}

namespace {

/// A model with the weights that it reads.
struct BoundModel {
  std::unique_ptr<RandomTables> random;
  Model model;
  TableMap tables;
};

} // namespace

/// Calls that are ready to be made, on batches of one load.
static Expected<Calls> prepare(const ModelIR &ir, const BoundModel &bound,
                               const BenchLoad &load, uint64_t seed,
                               BatchSizes &sizes) {
  BatchMaker maker(ir.getModule(), bound.tables, load, seed);
  CallForm form;
  form.valuesType = load.idsType;
  std::vector<Batch> batches = maker.make();
  int64_t count =
      countBatches(countCacheBytes(bound.model), maker.countRowBytes(batches),
                   countPreparedBytes(batches, ir));
  sizes.numBatches = count;
  Calls calls;
  for (int64_t i = 0; i < count; ++i) {
    sizes.ids += double(countIds(batches)) / double(count);
    sizes.rowBytes += double(maker.countRowBytes(batches)) / double(count);
    calls.push_back(std::make_unique<Call>(ir, batches, form));
    if (Error error = calls.back()->prepare(bound.model))
      return error;
    batches = maker.make();
  }
  return calls;
}

static void print(raw_ostream &os, ArrayRef<Result> results) {
  os << "   batch   ids/call   median us      p10 us      p90 us   ns/id  "
        "load\n";
  for (const Result &result : results) {
    double ids = result.sizes.ids;
    const Timing &t = result.timing;
    os << llvm::format("%8lld %10.0f %11.2f %11.2f %11.2f %7.2f  ",
                       static_cast<long long>(result.load.batchSize), ids,
                       t.median, t.p10, t.p90, ids ? t.median * 1e3 / ids : 0.0)
       << result.load.describe() << '\n';
  }
  std::string told;
  for (const Result &result : results)
    if (std::string text = describe(result.weights);
        result.weights.data && text != told)
      os << "weights: " << (told = text) << '\n';
}

static void printJSON(llvm::json::OStream &json, const Result &result) {
  const BatchSizes &sizes = result.sizes;
  const Timing &t = result.timing;
  json.object([&] {
    json.attribute("batch", result.load.batchSize);
    json.attribute("load", result.load.describe());
    json.attribute("ids_per_call", sizes.ids);
    json.attribute("row_bytes_per_call", sizes.rowBytes);
    json.attribute("batches", sizes.numBatches);
    json.attribute("rounds", t.rounds);
    json.attribute("calls_per_round", t.callsPerRound);
    json.attribute("median_us", t.median);
    json.attribute("p10_us", t.p10);
    json.attribute("p90_us", t.p90);
    json.attribute("gb_per_s", sizes.rowBytes / (t.median * 1e3));
    json.attribute("weights", describe(result.weights));
  });
}

static void printJSON(raw_ostream &os, ArrayRef<Result> results,
                      StringRef level, const RunOptions &options) {
  llvm::json::OStream json(os, /*IndentSize=*/2);
  json.object([&] {
    json.attribute("device", options.device.describe());
    if (options.device.index < 0) {
      json.attribute("cpu_level", level);
      json.attribute("threads", options.threads);
    }
    json.attributeArray("results", [&] {
      for (const Result &result : results)
        printJSON(json, result);
    });
  });
  os << '\n';
}

/// Those of the case file, else those that the command line describes.
static Expected<std::vector<BenchLoad>> findLoads(const RunOptions &options) {
  if (!options.caseFile.empty())
    return readCaseFile(options.caseFile);
  std::vector<BenchLoad> loads;
  for (int64_t size : options.batchSizes.empty() ? std::vector<int64_t>{1, 512}
                                                 : options.batchSizes) {
    loads.emplace_back();
    loads.back().batchSize = size;
    loads.back().lengths = makeFixedLengths({options.bagLength});
  }
  return loads;
}

/// A weights file is held as the pages of a case say; random tables, where
/// there is no file, lie on them.
static LoadOptions getLoadOptions(const RunOptions &options, Pages pages) {
  LoadOptions load = options;
  if (pages != Pages::any)
    load.pages = pages == Pages::huge ? TREC_PAGES_HUGE : TREC_PAGES_MAP;
  return load;
}

static Expected<BoundModel> bindModel(const ModelLibrary &library,
                                      const ModelIR &ir,
                                      const RunOptions &options, Pages pages) {
  std::unique_ptr<RandomTables> random;
  LoadOptions load = getLoadOptions(options, pages);
  Expected<Model> model = createWithAnyWeights(library, ir, load);
  bool isFile = !options.weights.empty() ||
                llvm::sys::fs::exists(library.getSiblingWeights());
  if (!model && !isFile) {
    llvm::consumeError(model.takeError());
    if (options.pages == TREC_PAGES_HUGE)
      pages = Pages::huge;
    auto made = makeResidentTables(ir, options.seed, pages);
    if (!made)
      return made.takeError();
    random = std::move(*made);
    model = Model::create(library, ir, {"", &random->getTables()}, load);
  }
  if (!model)
    return model.takeError();
  TableMap tables = getRowCounts(ir.getModule(), random.get());
  return BoundModel{std::move(random), std::move(*model), std::move(tables)};
}

Error mlir::trec::benchModel(const ModelLibrary &library,
                             const RunOptions &options, raw_ostream &os) {
  Expected<std::vector<BenchLoad>> loads = findLoads(options);
  if (!loads)
    return loads.takeError();
  Expected<ModelIR> ir = ModelIR::parse(library);
  if (!ir)
    return ir.takeError();
  // Tables are made once for each kind of pages.
  llvm::stable_sort(*loads, [](const BenchLoad &a, const BenchLoad &b) {
    return a.pages < b.pages;
  });
  std::vector<Result> results;
  std::optional<BoundModel> bound;
  for (const BenchLoad &load : *loads) {
    if (!bound || load.pages != results.back().load.pages) {
      bound.reset();
      Expected<BoundModel> made = bindModel(library, *ir, options, load.pages);
      if (!made)
        return made.takeError();
      bound.emplace(std::move(*made));
    }
    Result result{load, {}, {}, bound->model.getWeightsInfo()};
    auto calls = prepare(*ir, *bound, load, options.seed, result.sizes);
    if (!calls)
      return calls.takeError();
    Expected<Timing> timing =
        timeRounds(CallRing(*calls, bound->model), load.seconds);
    if (!timing)
      return llvm::createStringError(library.getPath() + ": " +
                                     llvm::toString(timing.takeError()));
    result.timing = *timing;
    results.push_back(std::move(result));
  }
  if (options.json)
    printJSON(os, results, bound->model.getLevel(), options);
  else
    print(os, results);
  return Error::success();
}
