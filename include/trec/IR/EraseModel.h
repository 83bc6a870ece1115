//===- EraseModel.h - What descriptors replace ------------------*- C++ -*-===//
//
// The last step of a lowering: once kernels and descriptors say what a model
// looks up, nothing of trec is left in its module.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_ERASEMODEL_H
#define TREC_IR_ERASEMODEL_H

#include "trec/IR/TrecDialect.h"

namespace mlir::trec {

/// Erases the functions that hold groups or dispatches, tables and parameters.
void eraseModel(ModuleOp module);

} // namespace mlir::trec

#endif // TREC_IR_ERASEMODEL_H
