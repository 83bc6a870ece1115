//===- FeatureProcessor.h - Weights by position of a batch ------*- C++ -*-===//
//
// TorchRec's FeatureProcessedEmbeddingBagCollection gives its batch to a
// PositionWeightedModuleCollection first. Tracing leaves the processor as a
// module that is called, or as the steps of its forward:
//
//   if (auto processed = findPositionWeights(place, batch, where))
//     use(processed->batch, processed->weights["ad_id"]);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_FEATUREPROCESSOR_H
#define TREC_IMPORT_TORCH_FEATUREPROCESSOR_H

#include "Lookup.h"

#include <map>

namespace mlir::trec {

struct ProcessedBatch {
  /// As it was before the processor.
  torch::jit::Value *batch = nullptr;
  std::map<std::string, std::vector<float>> weights;
};

/// Nothing where no processor made the batch that TorchRec knows. Throws
/// ReadError, whose text starts with `where`, where one cannot be compiled.
std::optional<ProcessedBatch> findPositionWeights(const Place &place,
                                                  torch::jit::Value *batch,
                                                  const std::string &where);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_FEATUREPROCESSOR_H
