//===- Magnitudes.h - How far relaxed sums may be off -----------*- C++ -*-===//
//
// A sum whose order is not known is off by a part of the sum of the magnitudes
// of its terms. The interpreter finds these sums if it is given magnitudes:
//
//   Magnitudes magnitudes(module, tables);
//   auto sums = interpret(module, Magnitudes::of(batches),
//                         magnitudes.getTables());
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TOOLS_TREC_RUN_MAGNITUDES_H
#define TREC_TOOLS_TREC_RUN_MAGNITUDES_H

#include "trec/Reference/Interpreter.h"

namespace mlir::trec {

/// Tables and parameters without the signs of scales, biases and weights.
class Magnitudes {
public:
  Magnitudes(ModuleOp module, const TableMap &tables);
  Magnitudes(const Magnitudes &) = delete;

  const TableMap &getTables() const { return tables; }

  /// Batches without the signs of their weights.
  static std::vector<Batch> of(ArrayRef<Batch> batches);
  /// By what part of the sum of magnitudes relaxed sums over bags of so many
  /// ids may differ from those in order. A rounding is off by 2^-24 of that sum
  /// at most; in order there are two for each id, else one, and few besides.
  static float getTolerance(Type outputElement, int64_t longestBag);

private:
  TableMap tables;
  std::vector<std::vector<uint8_t>> copies;
};

} // namespace mlir::trec

#endif // TREC_TOOLS_TREC_RUN_MAGNITUDES_H
