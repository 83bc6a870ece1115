//===- TuneWorkload.h - Tables and ids to measure with ----------*- C++ -*-===//
//
// Random tables of the sizes that a model declares, and where its ids come
// from: the loads of a case file, or a recorded batch.
//
//   Expected<TuneWorkload> workload = TuneWorkload::read(module, path);
//   if (Error error = workload->makeTables()) …
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_TUNEWORKLOAD_H
#define TREC_LIB_TUNE_TUNEWORKLOAD_H

#include "trec/Bench/BenchBatch.h"
#include "trec/Reference/RandomInputs.h"
#include "trec/Transforms/SelectLowering.h"

#include "mlir/IR/OwningOpRef.h"

namespace mlir::trec {

/// A batch for each argument of `@forward`, as somebody recorded them.
struct RecordedBatches {
  std::vector<Batch> batches;
  int32_t idsType = TREC_INT64;
};

/// Reads a file as `trec-run --inputs` takes it. Errors name the file, the
/// tensor, what was expected and what came.
llvm::Expected<RecordedBatches> readRecordedBatches(StringRef path,
                                                    ModuleOp module);

class TuneWorkload {
public:
  /// Reads what `path` names; empty: 20 ids in each bag, of so many samples.
  static llvm::Expected<TuneWorkload> read(ModuleOp module, StringRef path,
                                           ArrayRef<int64_t> samples = {256});

  /// Gives each table memory. Together they take at most half of what the
  /// machine has, and 4 GiB: above that the largest are cut, to sizes that no
  /// cache holds either. A table of unknown rows gets as many as recorded ids
  /// ask for, or a million.
  llvm::Error makeTables();

  /// The module as imported, with the rows that the tables have.
  ModuleOp getModule() const { return *sized; }
  const TableMap &getTables() const { return tables->getTables(); }
  ArrayRef<BenchLoad> getLoads() const { return loads; }
  /// Null where ids are drawn.
  const RecordedBatches *getRecorded() const {
    return recorded ? &*recorded : nullptr;
  }
  /// Seconds for each comparison of lowerings.
  double getSeconds() const;
  /// "b256 l20 uniform int64".
  std::string describe() const;
  /// The same of each load.
  std::vector<std::string> describeLoads() const;

private:
  OwningOpRef<ModuleOp> sized;
  std::vector<BenchLoad> loads;
  std::optional<RecordedBatches> recorded;
  std::unique_ptr<RandomTables> tables;
};

/// As entries of a cache are dated: "2026-11-25".
std::string getToday();

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_TUNEWORKLOAD_H
