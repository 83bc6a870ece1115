//===- ImportModel.h - From a JSON spec to a model directory ----*- C++ -*-===//
//
// What `trec-import` does:
//
//   ImportOptions options{"spec.json", "model"};
//   Error error = importModel(options); // model/model.mlir, model.safetensors
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_IMPORTMODEL_H
#define TREC_IMPORT_IMPORTMODEL_H

#include "llvm/Support/Error.h"

#include <string>

namespace mlir::trec {

struct ImportOptions {
  std::string specPath;
  /// Made with its parents where it does not exist.
  std::string outputDir;
  /// False: writes the IR alone.
  bool withWeights = true;
};

/// Writes `model.mlir` and `model.safetensors`. Errors start with the file that
/// they are about.
llvm::Error importModel(const ImportOptions &options);

} // namespace mlir::trec

#endif // TREC_IMPORT_IMPORTMODEL_H
