//===- Lookup.h - One call of FBGEMM's quantized lookup ---------*- C++ -*-===//
//
// A collection has one lookup per pooling type, or where it does not pool per
// type of weights. In an archive it is a call of a
// table batch, a module that carries names, sizes and weights as attributes,
// or, where TorchRec had not registered the table batches, a call of the
// operator on bare tensors, which carry everything but names:
//
//   if (isLookup(node))
//     Lookup lookup = readLookup({module, path}, node); // throws ReadError
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_LOOKUP_H
#define TREC_IMPORT_TORCH_LOOKUP_H

#include "Archive.h"
#include "Collection.h"
#include "GraphValues.h"

namespace mlir::trec {

/// A module and its qualified name.
struct Place {
  torch::jit::Module module;
  std::string path;
};

/// `module 'a.b'`, or `the archive's module`.
std::string describeModule(const std::string &path);

struct Lookup {
  torch::jit::Node *node = nullptr;
  /// What the lookup is given: ids, where bags begin, weights of ids.
  torch::jit::Value *indices = nullptr;
  torch::jit::Value *offsets = nullptr;
  torch::jit::Value *weights = nullptr;
  /// Without features, and without names where the archive has none.
  std::vector<StoredTable> tables;
  /// For each feature its index into `tables`.
  std::vector<size_t> featureTables;
  bool isPooled = true;
  std::string outputType;
  std::string boundsCheck;
  /// The collection's qualified name as the table batch's own tells it; nothing
  /// where the weights are constants of the module that calls.
  std::optional<std::string> collectionPath;
};

/// Whether a module is a table batch.
bool isTableBatch(const c10::TypePtr &type);
bool isLookup(const torch::jit::Node *node);
/// The module that a lookup stands for: its table batch, or who calls it.
std::string describeLookup(const Place &place, torch::jit::Node *node);

Lookup readLookup(const Place &place, torch::jit::Node *node);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_LOOKUP_H
