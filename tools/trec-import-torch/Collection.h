//===- Collection.h - What an archive says of a collection ------*- C++ -*-===//
//
// The border between the two halves of the tool: the reader, which knows
// LibTorch, and the writer, which knows LLVM. Neither's headers go with the
// other's compile flags, so this one has the standard library alone:
//
//   ReadResult result = readCollections("model.pt");
//   if (!result.error.empty())
//     return fail(result.error); // starts with the file's name
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_COLLECTION_H
#define TREC_IMPORT_TORCH_COLLECTION_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlir::trec {

/// A map from ids to the rows of a table, in int32 as the weights file has it.
struct StoredMap {
  /// The spec's names: "array", or "hash_table" of pairs.
  std::string kind;
  int64_t entries = 0;
  /// Of a hash table: ids below it are good.
  std::optional<int64_t> numIds;
  const uint8_t *data = nullptr;
  int64_t bytes = 0;
  /// Keeps `data` alive.
  std::shared_ptr<void> owner;
};

/// One table with its rows as FBGEMM stores them.
struct StoredTable {
  std::string name;
  /// False: the archive has lost the name, and it was made from a feature.
  bool isNamed = false;
  int64_t rows = 0;
  int64_t dim = 0;
  /// The spec's names: "int8", "sum" … Pooling is "none" in a sequence.
  std::string dtype;
  std::string pooling;
  int64_t rowAlignment = 0;
  std::vector<std::string> features;
  /// Nothing where ids are rows.
  std::optional<StoredMap> map;
  /// The first row, and how many bytes the archive has from there on; only
  /// whoever knows the size of a row can tell whether they suffice.
  const uint8_t *data = nullptr;
  int64_t available = 0;
  /// Keeps `data` alive.
  std::shared_ptr<void> owner;
};

/// One block of output columns.
struct StoredOutput {
  std::string key;
  /// Index into Collection::tables.
  size_t table = 0;
  std::string feature;
};

/// Weights of the ids of a feature by their position in their bag.
struct StoredPositionWeights {
  std::string feature;
  std::vector<float> values;
};

/// One collection, complete: nothing in it was guessed but the names of tables
/// that say so.
struct Collection {
  /// The qualified name of the module; empty for the archive's own module.
  std::string path;
  /// False: an EmbeddingCollection, which gives a row per id.
  bool isPooled = true;
  bool weighted = false;
  /// Of every feature in their order, or of none.
  std::vector<StoredPositionWeights> positionWeights;
  std::string outputType;
  std::string boundsCheck;
  std::vector<std::string> features;
  std::vector<StoredTable> tables;
  std::vector<StoredOutput> outputs;
};

struct ReadResult {
  std::vector<Collection> collections;
  /// Empty where all went well.
  std::string error;
};

/// Reads every collection of an archive. Nothing that the archive holds is run.
ReadResult readCollections(const std::string &path);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_COLLECTION_H
