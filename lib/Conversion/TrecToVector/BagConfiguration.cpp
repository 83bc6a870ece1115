//===- BagConfiguration.cpp - What is constant in a kernel ----------------===//

#include "trec/Conversion/BagConfiguration.h"

using namespace mlir;
using namespace mlir::trec;

BagConfiguration BagConfiguration::of(EmbeddingBagGroupOp group) {
  return {group.getRowType(), group.getPooling(), group.getWeighted(),
          group.getDest().getType().getElement(), group.getLoweringAttr()};
}

std::string BagConfiguration::getName() const {
  std::string name;
  llvm::raw_string_ostream os(name);
  os << "bag_" << (weighted ? "weighted_" : "") << stringifyPooling(pooling)
     << '_' << stringifyWeightsType(row.getWeights()) << 'x' << row.getDim()
     << "_align" << row.getLayout().getAlign() << '_' << outputElement;
  return name;
}
