//===- Rows.cpp - From ids to pooled rows ---------------------------------===//
//
// The numbers: FBGEMM's on CPUs, in its order and with its roundings.
//
//===----------------------------------------------------------------------===//

#include "OpMeanings.h"
#include "trec/Reference/Numerics.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Expected;

/// An id of -1 is skipped: it has no row, but counts in the length of its bag.
static constexpr int64_t skippedId = -1;

template <typename T> static T load(const uint8_t *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

Expected<Ids> mlir::trec::checkBounds(const Ids &ids, BoundsPolicy policy,
                                      const BoundTable &table,
                                      std::vector<BadId> &badIds) {
  Ids checked = ids;
  for (int64_t sample = 0; sample < ids.getNumBags(); ++sample)
    for (auto [position, id] : llvm::enumerate(ids.getBag(sample))) {
      if (id == skippedId || (id >= 0 && id < table.rows))
        continue;
      badIds.push_back({ids.feature, table.name.str(), sample,
                        int64_t(position), id, table.rows});
      if (policy == BoundsPolicy::fatal || policy == BoundsPolicy::none)
        return createStringError("id out of bounds: feature \"" + ids.feature +
                                 "\", table \"" + table.name + "\", sample " +
                                 Twine(sample) + ", position " +
                                 Twine(position) + ": id " + Twine(id) +
                                 ", expected -1 or below " + Twine(table.rows));
      checked.elements[ids.offsets[sample] + position] = 0;
    }
  return checked;
}

/// Checked ids have a row, be it the zeros of a table without rows; entries of
/// a map that are no row of the table, such as -1, have none.
Rows mlir::trec::lookupRows(const Ids &ids, const BoundTable &table) {
  Rows rows;
  rows.offsets = ids.offsets;
  rows.type = table.row;
  int64_t rowBytes = table.row.getRowBytes();
  int64_t limit = std::max<int64_t>(table.rows, 1);
  for (int64_t id : ids.elements)
    rows.elements.push_back(id >= 0 && id < limit ? table.bytes + id * rowBytes
                                                  : nullptr);
  return rows;
}

DequantizedRows mlir::trec::dequantizeRows(const Rows &rows) {
  DequantizedRows values;
  values.offsets = rows.offsets;
  values.type = rows.type;
  for (const uint8_t *bytes : rows.elements) {
    DequantizedRow row;
    row.bytes = bytes;
    if (bytes && rows.type.isQuantized()) {
      row.scale = halfToFloat(load<uint16_t>(bytes));
      row.bias = halfToFloat(load<uint16_t>(bytes + 2));
    }
    values.elements.push_back(row);
  }
  return values;
}

DequantizedRows mlir::trec::weightRows(const DequantizedRows &rows,
                                       const Weights &weights) {
  DequantizedRows weighted = rows;
  for (auto [row, weight] : llvm::zip(weighted.elements, weights.elements)) {
    row.scale = row.scale * weight;
    row.bias = row.bias * weight;
    row.weight = row.weight.value_or(1.0f) * weight;
  }
  return weighted;
}

/// The code of a column; element 0 is in the low bits of its byte.
static float getCode(const uint8_t *codes, int64_t bits, int64_t column) {
  int64_t firstBit = column * bits;
  int64_t mask = (1 << bits) - 1;
  return float(codes[firstBit / 8] >> (firstBit % 8) & mask);
}

/// acc = acc + b; acc = fma(q, s, acc)
static void addCodes(const DequantizedRow &row, RowType type,
                     MutableArrayRef<float> sums) {
  const uint8_t *codes = row.bytes + type.getHeaderBytes();
  int64_t bits = type.getBits();
  for (auto [column, sum] : llvm::enumerate(sums)) {
    sum = sum + row.bias;
    sum = std::fma(getCode(codes, bits, column), row.scale, sum);
  }
}

static float loadFloat(const uint8_t *row, WeightsType weights,
                       int64_t column) {
  switch (weights) {
  case WeightsType::fp16:
    return halfToFloat(load<uint16_t>(row + 2 * column));
  case WeightsType::bf16:
    return bfloat16ToFloat(load<uint16_t>(row + 2 * column));
  case WeightsType::fp8:
    return float8ToFloat(row[column]);
  default:
    return load<float>(row + 4 * column);
  }
}

/// acc = acc + v, weighted acc = fma(w, v, acc)
static void addFloats(const DequantizedRow &row, RowType type,
                      MutableArrayRef<float> sums) {
  for (auto [column, sum] : llvm::enumerate(sums)) {
    float value = loadFloat(row.bytes, type.getWeights(), column);
    sum = row.weight ? std::fma(*row.weight, value, sum) : sum + value;
  }
}

/// The sum of a bag's rows, in their order, from +0.
static std::vector<float> sumRows(ArrayRef<DequantizedRow> bag, RowType type) {
  std::vector<float> sums(type.getDim(), 0.0f);
  for (const DequantizedRow &row : bag) {
    if (!row.bytes)
      continue;
    if (type.isQuantized())
      addCodes(row, type, sums);
    else
      addFloats(row, type, sums);
  }
  return sums;
}

static void append(std::vector<uint8_t> &bytes, ArrayRef<float> floats) {
  const auto *begin = reinterpret_cast<const uint8_t *>(floats.data());
  bytes.insert(bytes.end(), begin, begin + floats.size() * sizeof(float));
}

Matrix mlir::trec::poolRows(const DequantizedRows &rows, Pooling pooling) {
  Matrix pooled{rows.type.getDim(), sizeof(float), {}};
  for (int64_t sample = 0; sample < rows.getNumBags(); ++sample) {
    ArrayRef<DequantizedRow> bag = rows.getBag(sample);
    std::vector<float> sums = sumRows(bag, rows.type);
    if (pooling == Pooling::mean && !bag.empty()) {
      float reciprocal = 1.0f / float(bag.size());
      for (float &sum : sums)
        sum = sum * reciprocal;
    }
    append(pooled.bytes, sums);
  }
  return pooled;
}

/// Rounds fp32 numbers to the output's type.
static std::vector<uint8_t> roundTo(Type element, std::vector<uint8_t> bytes) {
  if (element.isF32())
    return bytes;
  std::vector<uint8_t> rounded;
  for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
    float value = load<float>(&bytes[i]);
    uint16_t half =
        element.isF16() ? floatToHalf(value) : floatToBFloat16(value);
    rounded.push_back(half & 0xff);
    rounded.push_back(half >> 8);
  }
  return rounded;
}

static int64_t getElementBytes(Type element) {
  return element.getIntOrFloatBitWidth() / 8;
}

Matrix mlir::trec::castMatrix(const Matrix &matrix, Type element) {
  return {matrix.columns, getElementBytes(element),
          roundTo(element, matrix.bytes)};
}

OutputRows mlir::trec::materializeRows(const DequantizedRows &rows,
                                       Type element) {
  std::vector<uint8_t> bytes;
  for (const DequantizedRow &row : rows.elements)
    append(bytes, sumRows(row, rows.type));
  return {roundTo(element, std::move(bytes)), rows.offsets};
}

OutputRows mlir::trec::copyRows(const Rows &rows) {
  OutputRows copied{{}, rows.offsets};
  const std::vector<uint8_t> zeros(rows.type.getUsedBytes(), 0);
  for (const uint8_t *row : rows.elements) {
    const uint8_t *bytes = row ? row : zeros.data();
    copied.bytes.insert(copied.bytes.end(), bytes, bytes + zeros.size());
  }
  return copied;
}

Matrix mlir::trec::makeOutput(int64_t columns, Type element,
                              int64_t batchSize) {
  Matrix output{columns, getElementBytes(element), {}};
  // Columns that nobody writes are NaN, so that they show.
  output.bytes.assign(batchSize * output.getRowBytes(), 0xff);
  return output;
}

void mlir::trec::writeColumns(Matrix &output, int64_t column,
                              const Matrix &pooled) {
  if (pooled.bytes.empty())
    return;
  int64_t samples = pooled.bytes.size() / pooled.getRowBytes();
  for (int64_t sample = 0; sample < samples; ++sample)
    std::memcpy(&output.bytes[sample * output.getRowBytes() +
                              column * output.elementBytes],
                &pooled.bytes[sample * pooled.getRowBytes()],
                pooled.getRowBytes());
}

Matrix mlir::trec::takeColumns(const Matrix &matrix, int64_t column,
                               int64_t columns) {
  Matrix result{columns, matrix.elementBytes, {}};
  int64_t rowBytes = matrix.getRowBytes();
  for (int64_t row = 0; row < int64_t(matrix.bytes.size()); row += rowBytes)
    llvm::append_range(
        result.bytes,
        ArrayRef(matrix.bytes)
            .slice(row + column * matrix.elementBytes, result.getRowBytes()));
  return result;
}
