//===- ExportedSymbol.h - Names for the exported function -------*- C++ -*-===//
//
// What `--symbol` may be. A name that C does not allow would break the header;
// one that the library uses itself would take that one's place:
//
//   if (llvm::Error error = checkExportedSymbol("ads_query")) …
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_EXPORTEDSYMBOL_H
#define TREC_TARGET_EXPORTEDSYMBOL_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace mlir::trec {

/// An error unless a C or C++ function of a model may have this name. Names
/// that start with `trec_` are the library's own, but those that end with
/// `_query`.
llvm::Error checkExportedSymbol(llvm::StringRef name);

} // namespace mlir::trec

#endif // TREC_TARGET_EXPORTEDSYMBOL_H
