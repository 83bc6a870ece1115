//===- WeightsFile.h - The weights of a model -------------------*- C++ -*-===//
//
// Holds a safetensors file against the tables of a model, and writes the file
// that lies beside `model.mlir`:
//
//   Expected<std::vector<Tensor>> tables = findTables(file, module);
//   Error error = writeWeights(file, module, "model/model.safetensors");
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_WEIGHTSFILE_H
#define TREC_IMPORT_WEIGHTSFILE_H

#include "trec/IR/TrecDialect.h"
#include "trec/Import/Safetensors.h"

namespace mlir::trec {

/// Whether a tensor of this type and shape is what a parameter declares.
bool isParameter(ParameterOp parameter, llvm::StringRef dtype,
                 llvm::ArrayRef<int64_t> shape);
/// What a parameter declares, for errors: `"F32" and [5]`.
std::string describeParameter(ParameterOp parameter);

/// The tensor of each table, then of each parameter, in the module's order; an
/// error where one is missing or is not what the module declares. Other tensors
/// are passed over.
llvm::Expected<std::vector<Tensor>> findTables(const TensorFile &file,
                                               ModuleOp module);

/// Writes the module's tables to `path` in the canonical layout. A file that is
/// already there and canonical is left as it is.
llvm::Error writeWeights(const TensorFile &file, ModuleOp module,
                         llvm::StringRef path);

} // namespace mlir::trec

#endif // TREC_IMPORT_WEIGHTSFILE_H
