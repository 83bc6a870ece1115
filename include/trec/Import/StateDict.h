//===- StateDict.h - Weights out of a module's state dict -------*- C++ -*-===//
//
// A state dict of TorchRec names tensors `embedding_bags.<table>.weight`, with
// the names of the modules around in front, and may hold scales and biases
// apart; weights by position are `position_weights.<feature>` of a feature
// processor, or `<feature>.position_weight`. It comes as a safetensors file or
// as torch.save writes it, a zip archive with a pickle, which is read as data
// and never run:
//
//   Expected<StateDict> dict = StateDict::open("state.pt");
//   Expected<std::vector<Tensor>> tensors = dict->findTensors(module);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_STATEDICT_H
#define TREC_IMPORT_STATEDICT_H

#include "trec/IR/TrecDialect.h"
#include "trec/Import/Safetensors.h"

#include <optional>

namespace mlir::trec {

/// A tensor where it lies in a file; strides count elements.
struct StridedTensor {
  std::string name;
  /// As in safetensors: "U8", "F16" …
  std::string dtype;
  llvm::SmallVector<int64_t, 2> shape;
  llvm::SmallVector<int64_t, 2> strides;
  const uint8_t *data = nullptr;
};

/// Tensors by name, with the file that they lie in.
class StateDict {
public:
  static llvm::Expected<StateDict> open(llvm::StringRef path);

  /// Whether the weights at `path` are a state dict for this model: a zip
  /// archive, or tensors that are named as in one where a table's own name is
  /// missing. Files that cannot be opened are none.
  static bool isStateDict(llvm::StringRef path, ModuleOp module);

  /// The rows of each table as FBGEMM stores them, then each parameter, in the
  /// module's order; they live as long as this object. What lies ready in the
  /// file is not copied.
  llvm::Expected<std::vector<Tensor>> findTensors(ModuleOp module);

  const std::vector<StridedTensor> &getTensors() const { return tensors; }

private:
  llvm::Error readTensorFile();
  llvm::Expected<const StridedTensor *>
  findSymbol(Operation *symbol, llvm::StringRef module) const;
  const StridedTensor *find(llvm::StringRef name) const;
  llvm::Expected<Tensor> findRows(TableOp table, llvm::StringRef module);
  llvm::Expected<Tensor> findParameter(ParameterOp parameter,
                                       llvm::StringRef module) const;

  std::string path;
  std::unique_ptr<llvm::MemoryBuffer> archive;
  std::optional<TensorFile> file;
  std::vector<StridedTensor> tensors;
  /// Rows that had to be put together.
  std::vector<std::unique_ptr<llvm::MemoryBuffer>> assembled;
};

} // namespace mlir::trec

#endif // TREC_IMPORT_STATEDICT_H
