//===- ZipFile.h - Records of a zip archive ---------------------*- C++ -*-===//
//
// What torch.save writes: stored records, in any size that a zip archive can
// have. Records are parts of the mapped file:
//
//   Expected<StringMap<StringRef>> records = readZip(buffer->getBuffer());
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_IMPORT_ZIPFILE_H
#define TREC_LIB_IMPORT_ZIPFILE_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace mlir::trec {

/// Whether these bytes begin as a zip archive does.
bool isZip(llvm::StringRef file);

/// The records by name, without compressed ones. Each lies within the file.
llvm::Expected<llvm::StringMap<llvm::StringRef>> readZip(llvm::StringRef file);

} // namespace mlir::trec

#endif // TREC_LIB_IMPORT_ZIPFILE_H
