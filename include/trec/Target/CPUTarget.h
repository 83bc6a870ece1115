//===- CPUTarget.h - The CPU that code is generated for ---------*- C++ -*-===//
//
// Turns a name of `--cpu` into what code generation may use and what the
// runtime must find on the machine. Both are the same list of features
// (include/trec/Runtime/CPUFeatures.def), so that a `.so` that loads can run:
//
//   Expected<CPUTarget> target = resolveCPU("x86-64-v3");
//   std::unique_ptr<llvm::TargetMachine> machine =
//   createTargetMachine(*target);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_CPUTARGET_H
#define TREC_TARGET_CPUTARGET_H

#include "trec/Transforms/CPULevel.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

namespace mlir::trec {

/// A resolved CPU.
struct CPUTarget {
  std::string name;      // "x86-64-v3", or LLVM's name of the CPU
  const CPULevel *level; // the highest that it contains
  uint64_t featureMask;  // bit i: entry i of CPUFeatures.def
  std::vector<llvm::StringRef> features; // LLVM's names of those bits

  /// "+avx,+avx2,…", what a TargetMachine takes.
  std::string getFeatureString() const;
};

/// Resolves "native", a level such as "x86-64-v3", or any x86-64 CPU that LLVM
/// knows. An error where the name is unknown or the CPU is below x86-64-v2.
llvm::Expected<CPUTarget> resolveCPU(llvm::StringRef name);

/// A new machine for the target; one per thread.
std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const CPUTarget &target);

} // namespace mlir::trec

#endif // TREC_TARGET_CPUTARGET_H
