//===- BenchBatch.h - Batches to time a model with --------------*- C++ -*-===//
//
// Unlike the batches of --check, which are made to find errors, these look rows
// up as a server would: all good ids, and some rows more often than others only
// where the distribution says so.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_BENCH_BENCHBATCH_H
#define TREC_BENCH_BENCHBATCH_H

#include "trec/Bench/BenchCase.h"

#include <map>

namespace mlir::trec {

/// Draws rows of one table.
class IdSampler {
public:
  IdSampler(const IdDistribution &distribution, int64_t rows);
  int64_t draw(RandomEngine &random) const;

private:
  int64_t rows;
  /// Of ranks, up to each of them; empty where all rows are alike.
  std::vector<double> cumulative;
};

class BatchMaker {
public:
  BatchMaker(ModuleOp module, const TableMap &tables, const BenchLoad &load,
             uint64_t seed);
  /// One batch for each argument.
  std::vector<Batch> make();
  /// Bytes of rows that batches look up.
  int64_t countRowBytes(ArrayRef<Batch> batches) const;

private:
  /// What is known of one argument.
  struct Argument {
    KJTType type;
    llvm::StringMap<KeyTables> byKey;
    llvm::StringMap<BagLimits> bagLimits;
  };

  Batch makeBatch(const Argument &argument, size_t &feature);

  const BenchLoad &load;
  RandomEngine random;
  std::vector<Argument> arguments;
  /// By number of rows.
  std::map<int64_t, IdSampler> samplers;
};

} // namespace mlir::trec

#endif // TREC_BENCH_BENCHBATCH_H
