//===- BuildModel.h - The only writer of import-level IR --------*- C++ -*-===//
//
// Turns a spec into the module that `trec-verify-import-contract` accepts:
//
//   MLIRContext context;
//   OwningOpRef<ModuleOp> model = buildModel(spec, context);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_BUILDMODEL_H
#define TREC_IMPORT_BUILDMODEL_H

#include "trec/Import/ModelSpec.h"

#include "mlir/IR/OwningOpRef.h"

namespace mlir::trec {

/// The model as IR: its tables and `@forward`. Loads the dialects that it needs
/// into `context`. The spec must come from parseModelSpec.
OwningOpRef<ModuleOp> buildModel(const ModelSpec &spec, MLIRContext &context);

} // namespace mlir::trec

#endif // TREC_IMPORT_BUILDMODEL_H
