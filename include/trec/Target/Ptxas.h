//===- Ptxas.h - From PTX to the code of a chip -----------------*- C++ -*-===//
//
// Runs NVIDIA's assembler, a program of the CUDA toolkit:
//
//   llvm::Expected<std::string> ptxas = findPtxas(folders);
//   llvm::Expected<AssembledCode> code = runPtxas(*ptxas, "sm_90", ptx);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_PTXAS_H
#define TREC_TARGET_PTXAS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace mlir::trec {

/// What a kernel takes of a multiprocessor.
struct KernelResources {
  std::string name;
  int64_t registers = 0; // of a thread
  int64_t stackBytes = 0, spillStoreBytes = 0, spillLoadBytes = 0;
  int64_t sharedBytes = 0; // of a block
};

/// The code of one chip, and what its kernels need, in the order of their
/// names.
struct AssembledCode {
  std::string cubin;
  std::vector<KernelResources> kernels;
};

/// The program in one of the folders, the first that has it, or in PATH if none
/// has. An error that names all places where there is none.
llvm::Expected<std::string> findPtxas(llvm::ArrayRef<std::string> folders);

/// Assembles PTX for a chip.
llvm::Expected<AssembledCode>
runPtxas(llvm::StringRef program, llvm::StringRef chip, llvm::StringRef ptx);

/// Reads what `ptxas -v` says of kernels.
std::vector<KernelResources> parseResources(llvm::StringRef messages);

} // namespace mlir::trec

#endif // TREC_TARGET_PTXAS_H
