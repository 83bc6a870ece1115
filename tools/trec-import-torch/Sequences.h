//===- Sequences.h - What is made of lookups without pooling ----*- C++ -*-===//
//
// An EmbeddingCollection cuts the rows of a lookup by feature and puts each cut
// into a JaggedTensor:
//
//   for (const JaggedOutput &output : findJaggedOutputs(*graph))
//     use(output.lookup, output.feature);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_SEQUENCES_H
#define TREC_IMPORT_TORCH_SEQUENCES_H

#include "Lookup.h"

namespace mlir::trec {

/// A JaggedTensor of the rows of one feature.
struct JaggedOutput {
  torch::jit::Node *lookup = nullptr;
  /// Index of the feature among those of the lookup.
  int64_t feature = 0;
  /// The part of the batch whose lengths cut the rows.
  torch::jit::Value *share = nullptr;
  /// What dicts name the tensor.
  std::vector<std::string> keys;
};

/// All of a graph, in its order. A lookup whose rows are changed on the way, or
/// cut otherwise, has none.
std::vector<JaggedOutput> findJaggedOutputs(const torch::jit::Module &self,
                                            torch::jit::Graph &graph);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_SEQUENCES_H
