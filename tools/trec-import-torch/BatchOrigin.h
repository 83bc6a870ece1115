//===- BatchOrigin.h - Which features a lookup is given ---------*- C++ -*-===//
//
// Follows the ids of a lookup back to the batch that the model was given,
// through the functions that TorchRec keeps whole when it traces a collection:
// keys, permute, split, unwrap. Feature names stand nowhere else in an archive.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_BATCHORIGIN_H
#define TREC_IMPORT_TORCH_BATCHORIGIN_H

#include "Lookup.h"

namespace mlir::trec {

/// The share of a batch that one lookup takes.
struct BatchOrigin {
  /// The whole batch, before a feature processor where there is one.
  torch::jit::Value *batch = nullptr;
  /// The lookup's part of it, and the split that made it. A collection splits
  /// its batch once.
  torch::jit::Value *share = nullptr;
  torch::jit::Node *split = nullptr;
  size_t part = 0;
  size_t numParts = 0;
  /// Names of the features, in the order of the lookup's own.
  std::vector<std::string> features;
  bool weighted = false;
  /// Of each feature, where a processor weights ids by their position.
  std::vector<StoredPositionWeights> positionWeights;
};

/// Throws ReadError where the ids, offsets or weights do not come straight from
/// a batch, or where the batch is not an input of the module's forward.
BatchOrigin findOrigin(const Place &place, const Lookup &lookup);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_BATCHORIGIN_H
