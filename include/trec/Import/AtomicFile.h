//===- AtomicFile.h - Files that appear whole or not at all -----*- C++ -*-===//
//
// A reader never sees half a file, and a failed write leaves the file that was
// there before:
//
//   Error error = writeFileAtomically(path, [&](raw_ostream &os) { os << text;
//   });
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_ATOMICFILE_H
#define TREC_IMPORT_ATOMICFILE_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::trec {

/// Writes a file beside `path` and renames it. Errors name `path`.
llvm::Error
writeFileAtomically(llvm::StringRef path,
                    llvm::function_ref<void(llvm::raw_ostream &)> write);

} // namespace mlir::trec

#endif // TREC_IMPORT_ATOMICFILE_H
