//===- GroupLookups.h - The lookups of a group, to be repeated --*- C++ -*-===//
//
// Ids for the features of one group, so many batches of them that rows have
// left the caches before their batch comes again, and calls of a kernel on them
// as the runtime makes them:
//
//   GroupLookups lookups(group, workload);
//   lookups.run(kernels.get(0), batch);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_GROUPLOOKUPS_H
#define TREC_LIB_TUNE_GROUPLOOKUPS_H

#include "CandidateKernels.h"
#include "TuneWorkload.h"

extern "C" {
#include "../Runtime/NearTables.h"
}

namespace mlir::trec {

class GroupLookups {
public:
  /// `workload` must outlive this.
  GroupLookups(LookupGroupInterface group, const TuneWorkload &workload);

  size_t getNumBatches() const { return batches.size(); }
  /// Batches that differ in their load; every so many are alike.
  size_t getNumLoads() const { return numLoads; }
  int64_t countIds(size_t batch) const { return batches[batch].numIds; }
  /// Looks up all ids of a batch.
  void run(KernelPair kernels, size_t batch);
  /// What `run` wrote.
  ArrayRef<std::vector<uint8_t>> getOutputs() const { return outputs; }
  void clearOutputs();
  /// Whether the ids touch few rows of tables that no cache holds, so that they
  /// are measured as if they lay in one.
  bool isTooShort() const { return tooShort; }

private:
  /// The bags of one feature in a batch.
  struct FeatureIds {
    std::vector<uint8_t> ids; // of the batch's type
    std::vector<int64_t> offsets;
    std::vector<float> weights;
  };
  struct GroupBatch {
    int64_t batchSize = 0, numIds = 0;
    int variant = TREC_KERNEL_INT64;
    std::vector<FeatureIds> features;
  };
  /// A feature as the batches know it.
  struct Feature {
    size_t argument;
    StringAttr key;
    size_t index; // among the features of all arguments
    int64_t rows; // ids are below
    BagLimits limits;
    bool isWeighted;
  };
  /// One lookup, with what does not change from batch to batch.
  struct Lookup {
    size_t feature;
    trec_bag_args args;
    bool ownWeights;
    size_t output;
    int64_t outputByte;
  };

  void addLookup(LookupGroupInterface group, BagAttr bag,
                 const TuneWorkload &workload);
  size_t addFeature(LookupGroupInterface group, BagAttr bag,
                    const TuneWorkload &workload);
  void placeOutput(LookupGroupInterface group, BagAttr bag, Lookup &lookup);
  GroupBatch draw(const BenchLoad &load, RandomEngine &random);
  GroupBatch cut(const RecordedBatches &recorded, int64_t begin, int64_t end);
  void drawBatches(ArrayRef<BenchLoad> loads);
  void cutBatches(const RecordedBatches &recorded);
  void makeOutputs(int64_t elementBytes);
  int64_t countCacheBytes() const;
  int64_t countWantedBytes() const;
  int64_t countRowBytes(const GroupBatch &batch) const;

  bool isPooled;
  trec_cpu cpu;
  int64_t modelBytes, rowBytes, tableBytes = 0;
  std::vector<Feature> features;
  std::vector<Lookup> lookups;
  std::vector<GroupBatch> batches;
  size_t numLoads = 1;
  bool tooShort = false;
  std::map<int64_t, IdSampler> samplers;
  std::vector<std::vector<uint8_t>> outputs;
  int64_t report[2] = {0, INT64_MAX};
};

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_GROUPLOOKUPS_H
