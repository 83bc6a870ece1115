//===- WriteCollections.h - Model directories of collections ----*- C++ -*-===//
//
// The writing half of the tool: collections become JSON specs, and lib/Import
// turns those into what `trec.export` writes.
//
//   Expected<std::vector<std::string>> written =
//       writeCollections("model.pt", collections, "model");
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_WRITECOLLECTIONS_H
#define TREC_IMPORT_TORCH_WRITECOLLECTIONS_H

#include "Collection.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

namespace mlir::trec {

/// Writes each collection to `outputDir`, or below it to a directory named as
/// its module; gives the directories. Where one collection cannot be compiled,
/// nothing is written. Errors start with `archive`.
llvm::Expected<std::vector<std::string>>
writeCollections(llvm::StringRef archive,
                 llvm::ArrayRef<Collection> collections,
                 llvm::StringRef outputDir);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_WRITECOLLECTIONS_H
