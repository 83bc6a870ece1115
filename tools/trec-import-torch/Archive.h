//===- Archive.h - TorchScript archives, loaded without running -*- C++ -*-===//
//
// `torch::jit::load` runs `__setstate__` of every class that has one, so it
// runs code of the archive. This loader parses the same files and leaves such
// objects empty instead, or, where their class is one of C++, with the state:
//
//   Archive archive = loadArchive("model.pt"); // throws ReadError
//   inspect(archive.module);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_ARCHIVE_H
#define TREC_IMPORT_TORCH_ARCHIVE_H

#include <torch/csrc/jit/api/module.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace mlir::trec {

/// What is wrong with an archive; the text has no file name yet.
struct ReadError : std::runtime_error {
  using runtime_error::runtime_error;
};

struct Archive {
  /// Every function and class that the archive's code defines.
  std::shared_ptr<torch::jit::CompilationUnit> unit;
  torch::jit::Module module;
};

/// Visits a module and all within it, parents first, with their qualified
/// names. LibTorch's own walk aborts on objects that were left empty.
void walkModules(const torch::jit::Module &module, const std::string &path,
                 const std::function<void(const torch::jit::Module &,
                                          const std::string &)> &visit);

/// Tensors of any device come to the CPU.
Archive loadArchive(const std::string &path);

/// An archive that is the state of an object of another one.
Archive loadStoredArchive(const std::string &bytes);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_ARCHIVE_H
