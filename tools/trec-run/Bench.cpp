//===- Bench.cpp - trec-run --bench ---------------------------------------===//
//
// Times forward on random batches. A round is as many calls as take some
// milliseconds; the median of many rounds and the tenths at both ends are
// reported, for a mean would follow whatever else the machine does.
//
//===----------------------------------------------------------------------===//

#include "Call.h"
#include "Commands.h"

#include "llvm/ADT/STLExtras.h"
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
  int64_t batchSize;
  double median, p10, p90;
  double idsPerCall;
  int64_t callsPerRound;
};

} // namespace

static constexpr double roundSeconds = 0.01;
static constexpr int numRounds = 31;
/// Batches that take turns, so that no batch finds its own rows in the caches.
static constexpr int numBatches = 8;

using Calls = std::vector<std::unique_ptr<Call>>;

/// Seconds that `count` calls take.
static Expected<double> timeCalls(const Calls &calls, const Model &model,
                                  int64_t count) {
  trec_error error;
  auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i)
    if (calls[i % calls.size()]->run(model, error) != TREC_OK)
      return llvm::createStringError(error.message);
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - begin;
  return elapsed.count();
}

/// The number of calls that fills a round. Also warms up.
static Expected<int64_t> countCalls(const Calls &calls, const Model &model) {
  for (int64_t count = numBatches;; count *= 2) {
    Expected<double> seconds = timeCalls(calls, model, count);
    if (!seconds)
      return seconds.takeError();
    if (*seconds >= roundSeconds)
      return count;
  }
}

static Expected<Timing> timeBatches(const Calls &calls, const Model &model) {
  Expected<int64_t> count = countCalls(calls, model);
  if (!count)
    return count.takeError();
  std::vector<double> rounds;
  for (int round = 0; round < numRounds; ++round) {
    Expected<double> seconds = timeCalls(calls, model, *count);
    if (!seconds)
      return seconds.takeError();
    rounds.push_back(*seconds / double(*count) * 1e6);
  }
  llvm::sort(rounds);
  return Timing{0,
                rounds[numRounds / 2],
                rounds[numRounds / 10],
                rounds[numRounds - 1 - numRounds / 10],
                0,
                *count};
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
    tables[parameter.getSymName()].rows =
        cast<RankedTensorType>(parameter.getParameterType()).getNumElements();
  return tables;
}

/// Times do not depend on what rows hold, but on where they are.
static Expected<std::unique_ptr<RandomTables>>
makeResidentTables(const ModelIR &ir, uint64_t seed) {
  int64_t bytes = countTableBytes(ir.getModule());
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  if (bytes > memory / 2)
    return llvm::createStringError(
        "random tables of " + Twine(bytes) +
        " bytes do not fit into half of the memory of " + Twine(memory) +
        " bytes; pass --weights=FILE");
  auto tables = makeRandomTables(ir, seed);
  if (tables)
    (*tables)->makeResident();
  return tables;
}

static void print(raw_ostream &os, ArrayRef<Timing> timings) {
  os << "   batch   ids/call   median us      p10 us      p90 us   ns/id\n";
  for (const Timing &t : timings)
    os << llvm::format("%8lld %10.0f %11.2f %11.2f %11.2f %7.2f\n",
                       static_cast<long long>(t.batchSize), t.idsPerCall,
                       t.median, t.p10, t.p90,
                       t.idsPerCall ? t.median * 1e3 / t.idsPerCall : 0.0);
}

static void printJSON(raw_ostream &os, ArrayRef<Timing> timings,
                      const Model &model, const RunOptions &options) {
  llvm::json::OStream json(os, /*IndentSize=*/2);
  json.object([&] {
    json.attribute("cpu_level", model.getLevel());
    json.attribute("threads", options.threads);
    json.attribute("bag_length", options.bagLength);
    json.attribute("rounds", numRounds);
    json.attributeArray("results", [&] {
      for (const Timing &t : timings)
        json.object([&] {
          json.attribute("batch", t.batchSize);
          json.attribute("ids_per_call", t.idsPerCall);
          json.attribute("calls_per_round", t.callsPerRound);
          json.attribute("median_us", t.median);
          json.attribute("p10_us", t.p10);
          json.attribute("p90_us", t.p90);
        });
    });
  });
  os << '\n';
}

static Expected<Timing> benchBatch(const ModelIR &ir, const Model &model,
                                   const TableMap &tables, BatchShape shape,
                                   uint64_t seed) {
  Calls calls;
  double ids = 0;
  for (int i = 0; i < numBatches; ++i) {
    Batch batch = makeRandomBatch(ir.getModule(), tables, shape, seed + i);
    ids += double(batch.values.size()) / numBatches;
    calls.push_back(std::make_unique<Call>(ir, batch, CallForm()));
  }
  Expected<Timing> timing = timeBatches(calls, model);
  if (!timing)
    return timing.takeError();
  timing->batchSize = shape.batchSize;
  timing->idsPerCall = ids;
  return timing;
}

Error mlir::trec::benchModel(const ModelLibrary &library,
                             const RunOptions &options, raw_ostream &os) {
  Expected<ModelIR> ir = ModelIR::parse(library);
  if (!ir)
    return ir.takeError();
  std::unique_ptr<RandomTables> random;
  Expected<Model> model =
      createWithAnyWeights(library, *ir, options.weights, options.threads);
  if (!model && options.weights.empty()) {
    llvm::consumeError(model.takeError());
    auto made = makeResidentTables(*ir, options.seed);
    if (!made)
      return made.takeError();
    random = std::move(*made);
    model = Model::create(library, *ir, {"", &random->getTables()},
                          options.threads);
  }
  if (!model)
    return model.takeError();

  TableMap tables = getRowCounts(ir->getModule(), random.get());
  std::vector<Timing> timings;
  for (int64_t size : options.batchSizes.empty() ? std::vector<int64_t>{1, 512}
                                                 : options.batchSizes) {
    BatchShape shape;
    shape.batchSize = size;
    shape.minBagLength = shape.maxBagLength = options.bagLength;
    shape.skippedPerMille = 0;
    auto timing = benchBatch(*ir, *model, tables, shape, options.seed);
    if (!timing)
      return llvm::createStringError(library.getPath() + ": " +
                                     llvm::toString(timing.takeError()));
    timings.push_back(*timing);
  }
  if (options.json)
    printJSON(os, timings, *model, options);
  else
    print(os, timings);
  return Error::success();
}
