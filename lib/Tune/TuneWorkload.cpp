//===- TuneWorkload.cpp - Tables and ids to measure with ------------------===//

#include "TuneWorkload.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <ctime>
#include <unistd.h>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

static constexpr int64_t kMostTableBytes = int64_t(4) << 30;
static constexpr int64_t kUnknownRows = 1000000;
static constexpr uint64_t kSeed = 1;

static BenchLoad makeDefaultLoad(int64_t samples) {
  BenchLoad load;
  load.batchSize = samples;
  load.lengths = makeFixedLengths({20});
  return load;
}

Expected<TuneWorkload> TuneWorkload::read(ModuleOp module, StringRef path,
                                          ArrayRef<int64_t> samples) {
  TuneWorkload workload;
  workload.sized = module.clone();
  if (path.empty()) {
    for (int64_t count : samples)
      workload.loads.push_back(makeDefaultLoad(count));
    return workload;
  }
  if (path.ends_with(".safetensors")) {
    Expected<RecordedBatches> recorded = readRecordedBatches(path, module);
    if (!recorded)
      return recorded.takeError();
    workload.recorded = std::move(*recorded);
    return workload;
  }
  Expected<std::vector<BenchLoad>> loads = readCaseFile(path);
  if (!loads)
    return loads.takeError();
  workload.loads = std::move(*loads);
  for (const BenchLoad &load : workload.loads)
    if (load.pages != workload.loads.front().pages)
      return createStringError(path + ": expected one kind of pages to tune "
                                      "for, got several");
  return workload;
}

/// 1 + the largest recorded id of each table; none for a table whose ids are
/// mapped.
static llvm::StringMap<int64_t> countRecordedRows(ModuleOp module,
                                                  ArrayRef<Batch> batches) {
  llvm::StringMap<int64_t> rows;
  module.walk([&](CheckBoundsOp op) {
    auto feature = op.getIds().getDefiningOp<FeatureOp>();
    auto argument =
        feature ? dyn_cast<BlockArgument>(feature.getKjt()) : BlockArgument();
    if (!argument)
      return;
    const Batch &batch = batches[argument.getArgNumber()];
    auto id = batch.values.begin();
    auto length = batch.lengths.begin();
    int64_t &most = rows[op.getTable()];
    for (const std::string &key : batch.keys)
      for (int64_t sample = 0; sample < batch.batchSize; ++sample)
        for (int64_t left = *length++; left > 0; --left, ++id)
          if (key == feature.getKey())
            most = std::max(most, *id + 1);
  });
  return rows;
}

/// The size above which tables are cut, so that all together take no more than
/// `allowed`.
static int64_t findCut(SmallVector<int64_t> sizes, int64_t allowed) {
  llvm::sort(sizes);
  for (auto [index, size] : llvm::enumerate(sizes)) {
    int64_t left = int64_t(sizes.size() - index);
    if (size > allowed / left)
      return allowed / left;
    allowed -= size;
  }
  return std::numeric_limits<int64_t>::max();
}

static void setRows(TableOp table, int64_t rows) {
  TableType type = table.getType();
  table.setTableType(TableType::get(type.getContext(), rows, type.getDim(),
                                    type.getWeights(), type.getLayout()));
}

static int64_t countAllowedBytes() {
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::min(kMostTableBytes, memory / 2);
}

Error TuneWorkload::makeTables() {
  llvm::StringMap<int64_t> known;
  if (recorded)
    known = countRecordedRows(*sized, recorded->batches);
  SmallVector<int64_t> sizes;
  for (auto table : sized->getOps<TableOp>()) {
    if (table.getType().hasDynamicRows()) {
      int64_t rows = known.lookup(table.getSymName());
      setRows(table, rows ? rows : kUnknownRows);
    }
    sizes.push_back(getTableBytes(table.getType()));
  }
  int64_t cut = findCut(sizes, countAllowedBytes());
  for (auto table : sized->getOps<TableOp>())
    if (getTableBytes(table.getType()) > cut)
      setRows(table, std::max<int64_t>(
                         1, cut / table.getType().getRowType().getRowBytes()));
  Pages pages = loads.empty() ? Pages::any : loads.front().pages;
  tables = std::make_unique<RandomTables>(*sized, kSeed, pages);
  if (!tables->isComplete())
    return createStringError("no memory for random tables of " +
                             Twine(countTableBytes(*sized)) + " bytes");
  tables->makeResident();
  return Error::success();
}

double TuneWorkload::getSeconds() const {
  return loads.empty() ? BenchLoad().seconds : loads.front().seconds;
}

std::vector<std::string> TuneWorkload::describeLoads() const {
  if (recorded)
    return {"b" + std::to_string(recorded->batches.front().batchSize) +
            " recorded"};
  std::vector<std::string> texts;
  for (const BenchLoad &load : loads)
    texts.push_back("b" + std::to_string(load.batchSize) + " " +
                    load.describe());
  return texts;
}

std::string TuneWorkload::describe() const {
  std::vector<std::string> texts = describeLoads();
  if (texts.size() == 1)
    return texts.front();
  return texts.front() + " and " + std::to_string(texts.size() - 1) + " more";
}

std::string mlir::trec::getToday() {
  std::time_t now = std::time(nullptr);
  std::tm date{};
  gmtime_r(&now, &date);
  return llvm::formatv("{0}-{1:02}-{2:02}", date.tm_year + 1900,
                       date.tm_mon + 1, date.tm_mday)
      .str();
}
