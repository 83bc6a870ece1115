//===- Manifest.h - What a compiled model says of itself --------*- C++ -*-===//
//
// The facts about a model that its `.so`, its header and its report share. Read
// off the module at the `group` stage, where all of them are in the IR:
//
//   FailureOr<Manifest> manifest = readManifest(module);
//   std::string json = renderMetadata(*manifest, levels, gpu);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_MANIFEST_H
#define TREC_TARGET_MANIFEST_H

#include "trec/IR/TrecDialect.h"
#include "trec/Target/CPUTarget.h"
#include "trec/Target/GPUKernels.h"

namespace mlir::trec {

/// A table as the weights must have it.
struct ManifestTable {
  std::string name;
  TableType type;
  std::vector<std::string> kernels; // names without the type of id
};

/// A small tensor that comes with the weights.
struct ManifestParameter {
  std::string name;
  RankedTensorType type;
  MapAttr map;                  // null: weights by position
  std::optional<int64_t> count; // of its entries
  int64_t entryBytes;
};

/// A batch as the caller brings it.
struct ManifestBatch {
  std::vector<std::string> features;
  bool weighted; // has sample weights
};

/// One key of the output. `pooling` is "sum", "mean" or "none".
struct ManifestOutput {
  std::string key, feature, table, pooling;
  std::string remap; // the parameter that maps its ids; empty: none
  int64_t group;     // of a regroup; else 0
  int64_t column, dim;
  int64_t batch;
  Weighting weighting;
  std::string positionWeights; // the parameter of a bag's weights; empty: none
  std::optional<int64_t> length; // of each of its bags, as promised
};

/// One tensor of a regroup.
struct ManifestGroup {
  std::string key;
  int64_t dim;
};

/// A kernel and how many lookups it runs.
struct ManifestKernel {
  std::string name; // without the type of id
  int64_t numBags;
};

/// One compiled model.
struct Manifest {
  std::string name;
  std::vector<ManifestBatch> batches;
  std::vector<ManifestTable> tables;
  std::vector<ManifestParameter> parameters;
  std::vector<ManifestOutput> outputs;
  std::vector<ManifestGroup> groups; // of a regroup; else empty
  std::vector<ManifestKernel> kernels;
  Type outputElement; // f32, f16, bf16, or i8 for stored rows
  int64_t totalDim;   // of a KeyedTensor; 0 for a dict
  bool isPooled;
  BoundsPolicy policy;
  Numerics numerics; // relaxed where any kernel is

  /// The features of all batches, one batch after the other.
  std::vector<std::string> listFeatures() const;
  /// Bit i is set where batch i has sample weights.
  int64_t getWeightedBatches() const;
};

/// Reads the manifest of a module at the `group` stage. Emits an error and
/// fails where the module has no groups.
FailureOr<Manifest> readManifest(ModuleOp module);

/// The JSON text that `trec_api.metadata` holds.
std::string renderMetadata(const Manifest &manifest, ArrayRef<CPUTarget> levels,
                           const GPUKernels &gpu);

/// "float32", "float16", "bfloat16" or "uint8".
StringRef getDTypeName(Type element);

} // namespace mlir::trec

#endif // TREC_TARGET_MANIFEST_H
