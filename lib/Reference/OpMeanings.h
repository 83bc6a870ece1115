//===- OpMeanings.h - What each op computes ---------------------*- C++ -*-===//
//
// One function per op of the import layer, from values to a value. The fused
// ops are defined by these, one after the other.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_REFERENCE_OPMEANINGS_H
#define TREC_LIB_REFERENCE_OPMEANINGS_H

#include "Values.h"
#include "trec/Reference/Interpreter.h"

namespace mlir::trec {

/// A table as ops see it: where its rows are and how many.
struct BoundTable {
  StringRef name;
  RowType row;
  const uint8_t *bytes;
  int64_t rows;
};

/// A map as ops see it: what it does, and its elements one after the other.
struct BoundMap {
  MapAttr kind;
  std::vector<int64_t> elements;

  int64_t getNumEntries() const {
    return int64_t(elements.size()) / kind.getEntryWidth();
  }
  /// 1 + the largest id in bounds; nothing where all are.
  std::optional<int64_t> getNumIds() const {
    return kind.getNumIds(getNumEntries());
  }
};

// The batch.
/// Those of a model that takes `expected` of them.
llvm::Error checkBatches(ArrayRef<Batch> batches, size_t expected);
llvm::Expected<Ids> takeFeature(const Batch &batch, StringRef key,
                                std::optional<int64_t> length);
llvm::Expected<Weights> takeSampleWeights(const Batch &batch, StringRef key);
llvm::Expected<Weights> weightByPosition(const Ids &ids,
                                         ArrayRef<float> weights);

// Ids.
llvm::Expected<Ids> checkBounds(const Ids &ids, BoundsPolicy policy,
                                const BoundTable &table,
                                std::vector<BadId> &badIds);
llvm::Expected<Ids> remapIds(const Ids &ids, const BoundMap &map);

// Rows.
Rows lookupRows(const Ids &ids, const BoundTable &table);
DequantizedRows dequantizeRows(const Rows &rows);
DequantizedRows weightRows(const DequantizedRows &rows, const Weights &weights);

// Outputs.
Matrix poolRows(const DequantizedRows &rows, Pooling pooling);
Matrix castMatrix(const Matrix &matrix, Type element);
OutputRows materializeRows(const DequantizedRows &rows, Type element);
OutputRows copyRows(const Rows &rows);
Matrix makeOutput(int64_t columns, Type element, int64_t batchSize);
void writeColumns(Matrix &output, int64_t column, const Matrix &pooled);
Matrix takeColumns(const Matrix &matrix, int64_t column, int64_t columns);

} // namespace mlir::trec

#endif // TREC_LIB_REFERENCE_OPMEANINGS_H
