//===- Magnitudes.cpp - How far relaxed sums may be off -------------------===//

#include "Magnitudes.h"

#include <cmath>

using namespace mlir;
using namespace mlir::trec;

/// Clears the highest bit of `count` numbers of `size` bytes.
static void clearSigns(uint8_t *bytes, int64_t count, int64_t size) {
  for (int64_t i = 0; i < count; ++i)
    bytes[i * size + size - 1] &= 0x7f;
}

Magnitudes::Magnitudes(ModuleOp module, const TableMap &signedTables)
    : tables(signedTables) {
  auto copy = [&](StringRef name) -> std::vector<uint8_t> & {
    TableData &data = tables[name];
    data.bytes = copies.emplace_back(data.bytes.begin(), data.bytes.end());
    return copies.back();
  };
  for (auto table : module.getOps<TableOp>()) {
    RowType row = table.getType().getRowType();
    if (!row.isQuantized())
      continue;
    std::vector<uint8_t> &bytes = copy(table.getSymName());
    for (size_t i = 0; i < bytes.size(); i += row.getRowBytes())
      clearSigns(&bytes[i], /*count=*/2, /*size=*/2);
  }
  for (auto parameter : module.getOps<ParameterOp>()) {
    if (parameter.getMapAttr())
      continue;
    std::vector<uint8_t> &bytes = copy(parameter.getSymName());
    clearSigns(bytes.data(), int64_t(bytes.size() / sizeof(float)),
               sizeof(float));
  }
}

std::vector<Batch> Magnitudes::of(ArrayRef<Batch> batches) {
  std::vector<Batch> result(batches.begin(), batches.end());
  for (Batch &batch : result)
    for (float &weight : batch.weights)
      weight = std::fabs(weight);
  return result;
}

float Magnitudes::getTolerance(Type outputElement, int64_t longestBag) {
  float sums = float(3 * longestBag + 8) * 0x1p-24f;
  if (outputElement.isF32())
    return sums;
  // Two results on either side of a boundary are rounded apart.
  return sums + (outputElement.isF16() ? 0x1p-10f : 0x1p-7f);
}
