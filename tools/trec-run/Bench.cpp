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

#include "Commands.h"
#include "trec/Run/BenchCalls.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <chrono>
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

struct Result {
  BenchLoad load;
  BatchSizes sizes;
  Timing timing;
  trec_weights_info weights;
};

} // namespace

static constexpr double roundSeconds = 0.003;
static constexpr int minRounds = 31;

namespace {

/// Makes calls in turn, going on where it stopped.
class CallRing {
public:
  CallRing(BenchCalls &calls, const Model &model)
      : calls(calls), model(model) {}

  /// Seconds that `count` calls take.
  Expected<double> time(int64_t count);

private:
  BenchCalls &calls;
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

namespace {

/// A model with the weights that it reads.
struct BoundModel {
  std::unique_ptr<RandomTables> random;
  Model model;
  TableMap tables;
};

} // namespace

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
    CallForm form;
    form.valuesType = load.idsType;
    BenchCallMaker maker(*ir, bound->tables, load, form, options.seed);
    auto calls = maker.make(bound->model, result.sizes);
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
