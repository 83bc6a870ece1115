//===- CandidateKernels.h - One group under several lowerings ---*- C++ -*-===//
//
// Compiles the kernels of one group once for each of some lowerings, and loads
// them into this process:
//
//   auto kernels = CandidateKernels::compile(group, lowerings, target);
//   kernels->get(2).variants[TREC_KERNEL_INT64](&args, 0, batchSize);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_TUNE_CANDIDATEKERNELS_H
#define TREC_LIB_TUNE_CANDIDATEKERNELS_H

#include "trec/IR/TrecDialect.h"
#include "trec/Runtime/KernelABI.h"
#include "trec/Target/CPUTarget.h"

namespace mlir::trec {

/// The kernels of one lowering, as the runtime has them.
struct KernelPair {
  const trec_kernel *variants;
};

class CandidateKernels {
public:
  /// Emits diagnostics and fails where code generation does. The group stays as
  /// it is.
  static FailureOr<CandidateKernels>
  compile(LookupGroupInterface group, ArrayRef<LoweringConfigAttr> lowerings,
          const CPUTarget &target);
  CandidateKernels(CandidateKernels &&other)
      : handle(other.handle), kernels(other.kernels) {
    other.handle = nullptr;
  }
  ~CandidateKernels();

  /// Of the lowering with this index.
  KernelPair get(size_t index) const {
    return {kernels + index * TREC_KERNEL_VARIANTS};
  }

private:
  CandidateKernels() = default;

  void *handle = nullptr; // of the library
  const trec_kernel *kernels = nullptr;
};

} // namespace mlir::trec

#endif // TREC_LIB_TUNE_CANDIDATEKERNELS_H
