//===- Values.h - What SSA values hold while IR is interpreted --*- C++ -*-===//
//
// Rows stay where the table has them: a value of rows points to them.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_REFERENCE_VALUES_H
#define TREC_LIB_REFERENCE_VALUES_H

#include "trec/IR/TrecDialect.h"

#include <optional>
#include <variant>
#include <vector>

namespace mlir::trec {

/// Per sample a bag: sample b has the elements from offsets[b] to offsets[b +
/// 1] (exclusive).
template <typename T> struct Jagged {
  std::vector<T> elements;
  std::vector<int64_t> offsets;

  int64_t getNumBags() const { return int64_t(offsets.size()) - 1; }
  ArrayRef<T> getBag(int64_t sample) const {
    return ArrayRef(elements).slice(offsets[sample],
                                    offsets[sample + 1] - offsets[sample]);
  }
};

/// Ids, and the key of the batch that they come from, for messages.
struct Ids : Jagged<int64_t> {
  std::string feature;
};

using Weights = Jagged<float>;

/// Stored rows; null for the row of a skipped id.
struct Rows : Jagged<const uint8_t *> {
  RowType type;
};

/// A row that stands for `code * scale + bias` in each column (codes), or for
/// its elements (floats).
struct DequantizedRow {
  /// Null for the row of a skipped id.
  const uint8_t *bytes = nullptr;
  /// Of rows of codes; weighting multiplies them.
  float scale = 0;
  float bias = 0;
  /// Of rows of floats, where they were weighted.
  std::optional<float> weight;
};

struct DequantizedRows : Jagged<DequantizedRow> {
  RowType type;
};

/// Rows of a JaggedTensor: floats, or the bytes of stored rows.
struct OutputRows {
  std::vector<uint8_t> bytes;
  std::vector<int64_t> offsets;
};

/// A matrix of `columns` elements per sample, each of `elementBytes` bytes.
struct Matrix {
  int64_t columns = 0;
  int64_t elementBytes = 0;
  std::vector<uint8_t> bytes;

  int64_t getRowBytes() const { return columns * elementBytes; }
};

struct JaggedDict {
  std::vector<OutputRows> rows;
};

struct TensorDict {
  std::vector<Matrix> tensors;
};

/// Of a batch the value is its index.
struct BatchIndex {
  size_t index = 0;
};

using RuntimeValue =
    std::variant<BatchIndex, Ids, Weights, Rows, DequantizedRows, OutputRows,
                 Matrix, JaggedDict, TensorDict>;

} // namespace mlir::trec

#endif // TREC_LIB_REFERENCE_VALUES_H
