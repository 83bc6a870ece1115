//===- ZipFile.h - Records of a zip archive ---------------------*- C++ -*-===//
//
// What torch.save and torch.jit.save write: stored records, in any size that a
// zip archive can have. Records are parts of the mapped file:
//
//   Expected<StringMap<StringRef>> records = readZip(buffer->getBuffer());
//
//   if (Error error = checkZipFile("model.pt")) // every byte is as written
//     return error;
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_ZIPFILE_H
#define TREC_IMPORT_ZIPFILE_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace mlir::trec {

/// Whether these bytes begin as a zip archive does.
bool isZip(llvm::StringRef file);

/// The records by name, without compressed ones. Each lies within the file.
llvm::Expected<llvm::StringMap<llvm::StringRef>> readZip(llvm::StringRef file);

/// Holds the stored records of a zip archive against their checksums;
/// compressed ones are passed over, and so are files that are no zip archive,
/// or that cannot be read. Errors start with `path`.
llvm::Error checkZipFile(llvm::StringRef path);

} // namespace mlir::trec

#endif // TREC_IMPORT_ZIPFILE_H
