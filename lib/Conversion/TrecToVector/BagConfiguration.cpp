//===- BagConfiguration.cpp - What is constant in a kernel ----------------===//

#include "trec/Conversion/BagConfiguration.h"

using namespace mlir;
using namespace mlir::trec;

static PromisedLengths getLengths(ArrayAttr bags) {
  auto lengths = llvm::map_to_vector(
      bags.getAsRange<BagAttr>(), [](BagAttr bag) { return bag.getLength(); });
  auto isPromised = [](std::optional<int64_t> length) { return bool(length); };
  PromisedLengths promised;
  if (llvm::any_of(lengths, isPromised))
    promised.extent = PromisedLengths::some;
  if (llvm::all_of(lengths, isPromised))
    promised.extent = PromisedLengths::all;
  if (llvm::all_equal(lengths))
    promised.common = lengths.front();
  return promised;
}

BagConfiguration BagConfiguration::of(LookupGroupInterface group) {
  return {group.getRowType(),         group.getPoolingMode(),
          group.getWeighting(),       group.getRemapKind(),
          group.getOutputElement(),   group.getLoweringAttr(),
          group.getGpuLoweringAttr(), getLengths(group.getBags())};
}

std::string BagConfiguration::getName() const {
  std::string name;
  llvm::raw_string_ostream os(name);
  os << (pooling ? "bag_" : "rows_");
  if (remap)
    os << "remapped_by_" << stringifyMapKind(*remap) << '_';
  if (weighting == Weighting::sample)
    os << "weighted_";
  if (weighting == Weighting::position)
    os << "position_weighted_";
  if (pooling)
    os << stringifyPooling(*pooling) << '_';
  os << stringifyWeightsType(row.getWeights()) << 'x' << row.getDim()
     << "_align" << row.getLayout().getAlign() << '_' << outputElement;
  return name;
}
