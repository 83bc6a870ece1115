//===- Safetensors.h - Files of named tensors -------------------*- C++ -*-===//
//
// Reads and writes the safetensors format: an 8-byte length, a JSON header, the
// bytes of the tensors. A file is mapped, not read, so a table larger than
// memory costs nothing until its rows are touched:
//
//   Expected<TensorFile> file = TensorFile::open("model.safetensors");
//   if (const Tensor *ads = file->find("ads"))
//     use(ads->bytes);
//
// Written files have the one layout that trec calls canonical, so that the same
// tensors always give the same bytes.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_SAFETENSORS_H
#define TREC_IMPORT_SAFETENSORS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <string>

namespace mlir::trec {

/// One tensor; its bytes are those of the file it came from.
struct Tensor {
  std::string name;
  /// The format's name of the element type: "U8", "I64", "F32" …
  std::string dtype;
  llvm::SmallVector<int64_t, 2> shape;
  llvm::ArrayRef<uint8_t> bytes;
};

/// A file that was opened and whose header was checked: every tensor lies
/// within the file, and its bytes fit its shape where the dtype is known.
class TensorFile {
public:
  static llvm::Expected<TensorFile> open(llvm::StringRef path);

  /// Null where there is none of this name.
  const Tensor *find(llvm::StringRef name) const;

  llvm::ArrayRef<Tensor> getTensors() const { return tensors; }
  const std::string &getPath() const { return path; }
  /// The whole file.
  llvm::StringRef getText() const { return buffer->getBuffer(); }

private:
  llvm::Error readHeader();

  std::string path;
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  std::vector<Tensor> tensors;
  llvm::StringMap<size_t> indices;
};

/// Puts tensors in the order of the canonical layout: by descending alignment
/// of their sizes, so that each starts as aligned as its own size is.
void sortForLayout(std::vector<Tensor> &tensors);

/// The bytes before the data for tensors in this order: length and header,
/// padded with blanks so that the data starts at a multiple of 64.
std::string formatHeader(llvm::ArrayRef<Tensor> tensors);

/// Writes the canonical file of these tensors in one stream; it appears whole
/// or not at all.
llvm::Error writeTensorFile(llvm::StringRef path, std::vector<Tensor> tensors);

} // namespace mlir::trec

#endif // TREC_IMPORT_SAFETENSORS_H
