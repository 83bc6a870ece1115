//===- GPUTarget.h - The GPUs that code is generated for --------*- C++ -*-===//
//
//   llvm::Expected<GPUTarget> target = resolveGPU("sm_90");
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_GPUTARGET_H
#define TREC_TARGET_GPUTARGET_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

namespace mlir::trec {

/// A resolved chip.
struct GPUTarget {
  std::string chip;     // "sm_90"
  int64_t capability;   // 90
  std::string features; // the version of PTX, as LLVM names it
};

/// Resolves the name of a chip; a letter behind it (`sm_90a`) is ignored. An
/// error where LLVM does not know the name, or where it is older than `sm_80`.
llvm::Expected<GPUTarget> resolveGPU(llvm::StringRef name);

/// A new machine for the target; one per thread.
std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const GPUTarget &target);

} // namespace mlir::trec

#endif // TREC_TARGET_GPUTARGET_H
