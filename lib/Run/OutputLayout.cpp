//===- OutputLayout.cpp - The buffers that a model writes -----------------===//

#include "trec/Run/OutputLayout.h"

using namespace mlir;
using namespace mlir::trec;

/// The feature whose rows a value of a dict holds: every op on the way to it
/// has the ids, or what became of them, as its first operand.
static FeatureOp findFeature(Value rows) {
  Operation *op = rows.getDefiningOp();
  while (!isa<FeatureOp>(op))
    op = op->getOperand(0).getDefiningOp();
  return cast<FeatureOp>(op);
}

OutputLayout::OutputLayout(ModuleOp module) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  Type type = forward.getFunctionType().getResult(0);
  if (auto keyed = dyn_cast<KeyedTensorType>(type)) {
    kind = Kind::keyed;
    element = keyed.getElement();
    keys = keyed.getKeys();
    dims = keyed.getDims();
    totalDim = keyed.getTotalDim();
    return;
  }
  if (auto groups = dyn_cast<TensorDictType>(type)) {
    kind = Kind::tensors;
    element = groups.getElement();
    keys = groups.getKeys();
    dims = groups.getDims();
    return;
  }
  auto dict = cast<JaggedDictType>(type);
  kind = Kind::jagged;
  element = dict.getElement();
  keys = dict.getKeys();
  dims = dict.getDims();
  auto result = forward.front().getTerminator()->getOperand(0);
  for (Value rows : result.getDefiningOp<JaggedDictOp>().getRows())
    features.push_back(findFeature(rows).getKey().str());
}

std::vector<std::string> OutputLayout::getTensorNames() const {
  llvm::StringMap<int> uses;
  std::vector<std::string> names;
  for (StringAttr key : keys) {
    int use = ++uses[key.getValue()];
    names.push_back(key.str() + (use > 1 ? "#" + std::to_string(use) : ""));
  }
  return names;
}

OutputBuffers::OutputBuffers(const OutputLayout &layout, int64_t batchSize,
                             const llvm::StringMap<int64_t> &idCounts)
    : isKeyed(layout.isKeyed()) {
  size_t count = isKeyed ? 1 : layout.getKeys().size();
  for (size_t i = 0; i < count; ++i) {
    int64_t rows = layout.isPooled() ? batchSize
                                     : idCounts.lookup(layout.getFeatures()[i]);
    // Bytes that no number of a batch has, so that what is not written shows.
    buffers.emplace_back(rows * layout.getColumns(i) * layout.getElementBytes(),
                         0xcd);
  }
  for (std::vector<uint8_t> &buffer : buffers) {
    pointers.push_back(buffer.data());
    sizes.push_back(buffer.size());
  }
}

void OutputBuffers::attach(trec_forward_args &args) const {
  if (isKeyed) {
    args.output = pointers.front();
    args.output_bytes = sizes.front();
    return;
  }
  args.outputs = pointers.data();
  args.outputs_bytes = sizes.data();
}
