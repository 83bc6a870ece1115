//===- BenchCase.h - What is looked up, and for how long --------*- C++ -*-===//
//
// The batches of a benchmark, from a case file of python/benchmarks or from the
// command line. Of a case file everything but its model and its peers is used:
// the model is the library.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_BENCH_BENCHCASE_H
#define TREC_BENCH_BENCHCASE_H

#include "trec/Reference/RandomInputs.h"
#include "trec/Runtime/ModelABI.h"

#include <functional>
#include <random>

namespace mlir::trec {

using RandomEngine = std::mt19937_64;

/// How many ids a bag of a key has; keys by their number.
struct BagLengths {
  std::function<int64_t(size_t key, RandomEngine &random)> draw;
  /// "20", "0..40".
  std::string text;
};

/// Rank x has the weight (x + q)^-exponent; with an exponent of 0 all rows are
/// alike. The first ranks have the probabilities `hitters`, and the others
/// share what is left.
struct IdDistribution {
  double exponent = 0;
  double q = 0;
  std::vector<double> hitters;

  /// "uniform", "zipf1.05".
  std::string describe() const;
};

/// What is timed for one line of the result.
struct BenchLoad {
  int64_t batchSize = 1;
  BagLengths lengths;
  IdDistribution distribution;
  int32_t idsType = TREC_INT64;
  Pages pages = Pages::any;
  double seconds = 0.5;

  /// "l20 uniform int64", and the pages where they are chosen.
  std::string describe() const;
};

BagLengths makeFixedLengths(std::vector<int64_t> byKey);

/// The loads of a case file, multiplied out over its lists. Errors name the
/// file and the field.
llvm::Expected<std::vector<BenchLoad>> readCaseFile(StringRef path);

} // namespace mlir::trec

#endif // TREC_BENCH_BENCHCASE_H
