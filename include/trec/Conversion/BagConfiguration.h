//===- BagConfiguration.h - What is constant in a kernel --------*- C++ -*-===//
//
// The configuration that a group of lookups shares, and the name of its kernel:
//
//   std::string name = BagConfiguration::of(group).getName();
//
//===----------------------------------------------------------------------===//

#ifndef TREC_CONVERSION_BAGCONFIGURATION_H
#define TREC_CONVERSION_BAGCONFIGURATION_H

#include "trec/IR/TrecDialect.h"

namespace mlir::trec {

/// What callers have promised of the lengths of a group's bags.
struct PromisedLengths {
  enum Extent { none, some, all };

  Extent extent = none;
  std::optional<int64_t> common; // that all bags have

  /// Whether that is so of every bag.
  bool areAtMost(int64_t length) const {
    return extent == all && common && *common <= length;
  }
};

/// Everything that is constant in a kernel but the integer type of its ids.
struct BagConfiguration {
  RowType row;
  std::optional<Pooling> pooling; // missing: each row is an output of its own
  Weighting weighting;
  std::optional<MapKind> remap; // missing: ids are rows
  Type outputElement;           // f32, f16, bf16, or i8 for stored rows
  LoweringConfigAttr lowering;
  GPULoweringConfigAttr gpuLowering;
  PromisedLengths lengths;

  /// The configuration of a group.
  static BagConfiguration of(LookupGroupInterface group);

  /// The same, but scheduled for a GPU's launches of few bags.
  BagConfiguration getForFewBags() const {
    BagConfiguration few = *this;
    few.gpuLowering = gpuLowering.getForFewBags();
    return few;
  }

  bool isWeighted() const { return weighting != Weighting::none; }
  /// Whether rows are given out as they are stored.
  bool isCopy() const { return outputElement.isInteger(8); }
  /// Whether bags up to the certified length are added in another arithmetic
  /// than longer ones.
  bool isCertified() const {
    return lowering.getCertified() != RowArithmetic::in_order &&
           lowering.getNumerics() == Numerics::fbgemm;
  }

  /// A name that says it all: "bag_sum_int8x128_align16_f32".
  std::string getName() const;
};

} // namespace mlir::trec

#endif // TREC_CONVERSION_BAGCONFIGURATION_H
