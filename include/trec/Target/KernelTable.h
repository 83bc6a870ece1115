//===- KernelTable.h - The constant image of a model ------------*- C++ -*-===//
//
// Builds the LLVM module that ties kernels, descriptors and runtime together:
// the constants `trec_image` (include/trec/Runtime/KernelABI.h),
// `trec_gpu_image` where there is code for GPUs (DeviceABI.h) and
// `trec_model_api` (ModelABI.h), and the one exported function.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_KERNELTABLE_H
#define TREC_TARGET_KERNELTABLE_H

#include "trec/Target/Manifest.h"

namespace llvm {
class Module;
}

namespace mlir::trec {

/// What the image holds besides the descriptors.
struct ImageParts {
  ArrayRef<CPUTarget> levels;         // best first
  ArrayRef<std::string> kernelTables; // names of their arrays of kernels
  StringRef symbol;                   // of the exported function
  StringRef metadata;
  StringRef ir;      // bytecode of the module as imported
  StringRef weights; // a safetensors file to embed, or empty
  const GPUKernels *gpu;
};

/// Adds the image to `module`, which has the descriptors that
/// `trec-emit-kernel-entries` made and declares the kernels of all levels.
void addModelImage(llvm::Module &module, const Manifest &manifest,
                   const ImageParts &parts);

} // namespace mlir::trec

#endif // TREC_TARGET_KERNELTABLE_H
