//===- ModelSpec.h - What a model is, as importers say it -------*- C++ -*-===//
//
// The JSON model spec in C++: tables, features, outputs. Every importer writes
// this JSON; only this library reads it, and only BuildModel.h turns it into
// IR.
//
//   Expected<ModelSpec> spec = parseModelSpec(text);
//   if (!spec) // e.g. `tables[3].dtype: expected one of …, got "int7"`
//     return spec.takeError();
//
// A spec that was parsed is complete and consistent: the features and outputs
// that the JSON may leave out are filled in by TorchRec's rules, and building
// IR from it cannot fail. Tables are in the order of the outputs, whatever
// their order in the JSON, so that the same model gives the same files by every
// way.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_MODELSPEC_H
#define TREC_IMPORT_MODELSPEC_H

#include "trec/IR/TrecDialect.h"

#include "llvm/Support/Error.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::trec {

/// Element type of the output; uint8: the bytes of stored rows.
enum class OutputType { float32, float16, bfloat16, uint8 };

/// A map from ids to the rows of a table.
struct RemapSpec {
  /// Of its tensor in the weights file.
  std::string name;
  MapKind kind = MapKind::array;
  /// Entries of the map. Missing: taken from the weights when the compiled
  /// model is loaded.
  std::optional<int64_t> length;
  /// Of a hash table: ids below it are good.
  int64_t numIds = MapAttr::kAllIds;
};

/// One embedding table. `features` may name a feature twice: TorchRec then
/// pools it twice.
struct TableSpec {
  std::string name;
  /// Missing: taken from the weights when the compiled model is loaded.
  std::optional<int64_t> rows;
  int64_t dim = 0;
  WeightsType weights = WeightsType::fp32;
  int64_t rowAlignment = 0;
  Pooling pooling = Pooling::sum;
  std::vector<std::string> features;
  /// Missing: ids are rows.
  std::optional<RemapSpec> remap;
};

/// One output: a feature looked up in a table.
struct OutputSpec {
  std::string key;
  /// Index into CollectionSpec::tables.
  size_t table = 0;
  std::string feature;
};

/// Weights of the ids of a feature by their position in their bag.
struct PositionWeightsSpec {
  std::string feature;
  /// Of their float32 tensor in the weights file.
  std::string name;
  int64_t length = 0;
};

/// A promise: every bag of a feature has so many ids.
struct FixedLengthSpec {
  std::string feature;
  int64_t length = 0;
};

/// One collection of tables.
struct CollectionSpec {
  /// False: an EmbeddingCollection, whose outputs have a row per id.
  bool isPooled = true;
  /// The batch that it reads: an argument of the model.
  size_t batch = 0;
  /// The keys of the batch that it reads, in its order.
  std::vector<std::string> features;
  bool weighted = false;
  /// Of every feature, in the order of the features, or of none.
  std::vector<PositionWeightsSpec> positionWeights;
  /// Of some features.
  std::vector<FixedLengthSpec> fixedLengths;
  /// In the order in which the outputs use them first.
  std::vector<TableSpec> tables;
  /// Every feature of every table, in the order of the outputs.
  std::vector<OutputSpec> outputs;
};

/// One tensor of a regroup.
struct GroupSpec {
  std::string key;
  /// Keys of outputs of the collections, from left to right.
  std::vector<std::string> keys;
};

/// One collection, or several whose outputs are regrouped.
struct ModelSpec {
  std::string name;
  OutputType outputType = OutputType::float32;
  BoundsPolicy boundsCheck = BoundsPolicy::warning;
  std::vector<CollectionSpec> collections;
  /// Empty: the output is that of the one collection.
  std::vector<GroupSpec> groups;
  /// Path of the weights, relative to the spec's file.
  std::optional<std::string> weights;
};

/// Reads and checks a spec. An error starts with the place in the JSON.
llvm::Expected<ModelSpec> parseModelSpec(llvm::StringRef text);

} // namespace mlir::trec

#endif // TREC_IMPORT_MODELSPEC_H
