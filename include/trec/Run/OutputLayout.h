//===- OutputLayout.h - The buffers that a model writes ---------*- C++ -*-===//
//
// A pooled model writes one buffer with a row per sample, a model that regroups
// one buffer per group with a row per sample, a model without pooling one
// buffer per key with a row per id:
//
//   OutputLayout layout(ir.getModule());
//   OutputBuffers buffers(layout, batchSize, idsPerFeature);
//   buffers.attach(args);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_RUN_OUTPUTLAYOUT_H
#define TREC_RUN_OUTPUTLAYOUT_H

#include "trec/IR/TrecDialect.h"
#include "trec/Runtime/ModelABI.h"

#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

namespace mlir::trec {

/// What `@forward` returns.
class OutputLayout {
public:
  explicit OutputLayout(ModuleOp module);

  /// True where a row is one of a sample, not of an id.
  bool isPooled() const { return kind != Kind::jagged; }
  /// True where all keys are side by side in one buffer.
  bool isKeyed() const { return kind == Kind::keyed; }
  Type getElement() const { return element; }
  int64_t getElementBytes() const {
    return element.getIntOrFloatBitWidth() / 8;
  }
  ArrayRef<StringAttr> getKeys() const { return keys; }
  ArrayRef<int64_t> getDims() const { return dims; }
  /// Of a model without pooling: the feature whose ids each key has rows for.
  ArrayRef<std::string> getFeatures() const { return features; }

  /// Elements of a row of a buffer.
  int64_t getColumns(size_t buffer) const {
    return isKeyed() ? totalDim : dims[buffer];
  }
  /// A key as the name of a tensor. Keys that repeat get a number.
  std::vector<std::string> getTensorNames() const;

private:
  enum class Kind { keyed, jagged, tensors };

  Kind kind;
  Type element;
  ArrayRef<StringAttr> keys;
  ArrayRef<int64_t> dims;
  int64_t totalDim = 0;
  std::vector<std::string> features;
};

/// Memory for the outputs of one batch.
class OutputBuffers {
public:
  /// `idCounts` holds the ids of each feature that a model without pooling
  /// reads.
  OutputBuffers(const OutputLayout &layout, int64_t batchSize,
                const llvm::StringMap<int64_t> &idCounts);
  OutputBuffers(const OutputBuffers &) = delete;

  /// Makes a call write here.
  void attach(trec_forward_args &args) const;
  size_t size() const { return buffers.size(); }
  ArrayRef<uint8_t> operator[](size_t index) const { return buffers[index]; }

private:
  bool isKeyed;
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<void *> pointers;
  std::vector<uint64_t> sizes;
};

} // namespace mlir::trec

#endif // TREC_RUN_OUTPUTLAYOUT_H
