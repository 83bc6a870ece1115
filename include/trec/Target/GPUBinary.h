//===- GPUBinary.h - Kernels to the code of GPUs ----------------*- C++ -*-===//
//
// Translates and optimizes the `gpu.module` of a model to PTX, in this process,
// and assembles it for its chip:
//
//   llvm::Expected<std::string> ptx = emitPTX(module, target);
//
// `gpu-module-to-binary` would do as much, but links what it finds of a toolkit
// on the machine and leaves fusing of roundings to its defaults.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_GPUBINARY_H
#define TREC_TARGET_GPUBINARY_H

#include "trec/Target/GPUTarget.h"
#include "trec/Target/Ptxas.h"

#include "mlir/IR/BuiltinOps.h"

namespace mlir::trec {

/// A model's kernels for one chip.
struct GPUBinary {
  GPUTarget target;
  std::string ptx;
  AssembledCode code;
};

/// The PTX of a module at the `nvvm` stage of `trec-gpu-pipeline`.
llvm::Expected<std::string> emitPTX(ModuleOp module, const GPUTarget &target);

} // namespace mlir::trec

#endif // TREC_TARGET_GPUBINARY_H
