//===- BenchBatch.cpp - Batches to time a model with ----------------------===//

#include "trec/Bench/BenchBatch.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace mlir::trec;

/// Larger than any table, and prime: multiplying by it scatters the rows that
/// come often over the table.
static constexpr uint64_t scatter = 2654435761;

IdSampler::IdSampler(const IdDistribution &distribution, int64_t rows)
    : rows(rows) {
  if (distribution.exponent == 0)
    return;
  const std::vector<double> &hitters = distribution.hitters;
  int64_t numHitters = std::min<int64_t>(rows, int64_t(hitters.size()));
  cumulative.resize(rows);
  for (int64_t rank = numHitters; rank < rows; ++rank)
    cumulative[rank] =
        std::pow(double(rank + 1) + distribution.q, -distribution.exponent);
  // The hitters' probabilities as weights beside those of the others.
  double others = std::accumulate(cumulative.begin(), cumulative.end(), 0.0);
  double share =
      1 - std::accumulate(hitters.begin(), hitters.begin() + numHitters, 0.0);
  if (share <= 0)
    llvm::fill(cumulative, 0);
  if (share <= 0 || others == 0)
    others = share = 1;
  for (int64_t rank = 0; rank < numHitters; ++rank)
    cumulative[rank] = hitters[rank] * others / share;
  std::partial_sum(cumulative.begin(), cumulative.end(), cumulative.begin());
}

int64_t IdSampler::draw(RandomEngine &random) const {
  if (cumulative.empty())
    return std::uniform_int_distribution<int64_t>(0, rows - 1)(random);
  double place =
      std::uniform_real_distribution<double>(0, cumulative.back())(random);
  int64_t rank = llvm::upper_bound(cumulative, place) - cumulative.begin();
  return int64_t(uint64_t(std::min(rank, rows - 1)) * scatter % uint64_t(rows));
}

BatchMaker::BatchMaker(ModuleOp module, const TableMap &tables,
                       const BenchLoad &load, uint64_t seed)
    : load(load), random(seed) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  for (auto [index, type] :
       llvm::enumerate(forward.getFunctionType().getInputs()))
    arguments.push_back({cast<KJTType>(type),
                         findKeyTables(module, tables, index),
                         findBagLimits(module, index)});
  for (const Argument &argument : arguments)
    for (const auto &entry : argument.byKey)
      if (int64_t rows = entry.second.fewestRows; rows > 0)
        samplers.try_emplace(rows, load.distribution, rows);
}

std::vector<Batch> BatchMaker::make() {
  std::vector<Batch> batches;
  size_t feature = 0;
  for (const Argument &argument : arguments)
    batches.push_back(makeBatch(argument, feature));
  return batches;
}

/// `feature` counts the features of all batches.
Batch BatchMaker::makeBatch(const Argument &argument, size_t &feature) {
  Batch batch;
  batch.batchSize = load.batchSize;
  for (StringAttr key : argument.type.getKeys()) {
    batch.keys.push_back(key.str());
    int64_t rows = argument.byKey.lookup(key.getValue()).fewestRows;
    auto sampler = samplers.find(rows);
    BagLimits limits = argument.bagLimits.lookup(key.getValue());
    for (int64_t sample = 0; sample < load.batchSize; ++sample) {
      int64_t length = limits.clamp(load.lengths.draw(feature, random));
      batch.lengths.push_back(length);
      // A table without rows has no id but -1.
      for (int64_t i = 0; i < length; ++i)
        batch.values.push_back(
            sampler == samplers.end() ? -1 : sampler->second.draw(random));
    }
    ++feature;
  }
  std::uniform_real_distribution<float> weight(0.5f, 1.5f);
  if (argument.type.getWeighted())
    for (size_t i = 0; i < batch.values.size(); ++i)
      batch.weights.push_back(weight(random));
  return batch;
}

int64_t BatchMaker::countRowBytes(ArrayRef<Batch> batches) const {
  int64_t bytes = 0;
  for (auto [argument, batch] : llvm::zip_equal(arguments, batches)) {
    auto length = batch.lengths.begin();
    for (const std::string &key : batch.keys)
      for (int64_t sample = 0; sample < batch.batchSize; ++sample)
        bytes += *length++ * argument.byKey.lookup(key).rowBytes;
  }
  return bytes;
}
