//===- CPUTarget.h - The CPU that code is generated for ---------*- C++ -*-===//
//
// Turns a name of `--cpu` into what code generation may use and what the
// runtime must find on the machine. Both are the same list of features
// (include/trec/Runtime/CPUFeatures.def and CPUFeaturesAArch64.def), so that a
// `.so` that loads can run:
//
//   Expected<Architecture> architecture = resolveTriple("aarch64-linux-gnu");
//   Expected<CPUTarget> target = resolveCPU("armv8-a", *architecture);
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
  uint64_t featureMask;  // bit i: entry i of the architecture's features
  std::vector<llvm::StringRef> features; // the names of those bits

  /// "+avx,+avx2,…", what a TargetMachine takes.
  std::string getFeatureString() const;
  /// Whether vectors of the level's length are SVE's.
  bool usesSVE() const;
};

/// The architecture of this process.
Architecture getHostArchitecture();

/// "x86_64-linux-gnu" or "aarch64-linux-gnu".
llvm::StringRef getTripleName(Architecture architecture);

/// Resolves a triple of `--target`, or "" for the host's. An error where no
/// code can be generated for it.
llvm::Expected<Architecture> resolveTriple(llvm::StringRef triple);

/// The CPU to compile for where none is named: "native", or the lowest level of
/// an architecture that is not the host's.
llvm::StringRef getDefaultCPU(Architecture architecture);

/// Resolves "native", a level such as "x86-64-v3", a version of the Arm
/// architecture such as "armv9-a", or any CPU of the architecture that LLVM
/// knows. An error where the name is unknown, the CPU below the lowest level,
/// or the host none of the architecture's.
llvm::Expected<CPUTarget> resolveCPU(llvm::StringRef name,
                                     Architecture architecture);

/// A new machine for the target; one per thread.
std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const CPUTarget &target);

} // namespace mlir::trec

#endif // TREC_TARGET_CPUTARGET_H
