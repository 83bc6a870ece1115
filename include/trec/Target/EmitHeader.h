//===- EmitHeader.h - The C header of a compiled model ----------*- C++ -*-===//
//
// Writes `model.h`: the C interface (a copy of
// include/trec/Runtime/ModelABI.h), the exported function and the model's
// constants, so that a program needs no other file of the project.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_EMITHEADER_H
#define TREC_TARGET_EMITHEADER_H

#include "trec/Target/Manifest.h"

namespace mlir::trec {

/// The text of the header. Its macros and its enum are named after `symbol`,
/// without a `_query` at its end: "trec_model_query" gives
/// TREC_MODEL_TOTAL_DIM.
std::string renderHeader(const Manifest &manifest, StringRef symbol);

} // namespace mlir::trec

#endif // TREC_TARGET_EMITHEADER_H
