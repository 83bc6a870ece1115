// What a model is linked from besides its own code, embedded into the compiler.
//
// With these three and in-process lld, the bytes of a model depend on nothing
// that the host has installed:
//
//   ld.lld -shared --no-undefined --gc-sections model.o trec_runtime.o
//   libc_stub.so --as-needed libm_stub.so
//
// lld reads inputs from files, so write them to a temporary directory; its name
// does not reach the output, for the stubs have SONAMEs. The model's object
// defines trec_image and trec_model_api (trec/Runtime/RuntimeABI.h) and the
// exported query function.
#ifndef TREC_TARGET_RUNTIMEOBJECTS_H
#define TREC_TARGET_RUNTIMEOBJECTS_H

#include "trec/Transforms/CPULevel.h"

namespace mlir::trec {

/// The files for one architecture.
struct RuntimeObjects {
  /// The runtime as one relocatable object. All of its symbols are hidden.
  llvm::StringRef runtime;
  /// A shared library with SONAME libc.so.6 that has the names and glibc
  /// versions of the functions that the runtime and generated code may call; at
  /// most GLIBC_2.34.
  llvm::StringRef libc;
  /// Likewise libm.so.6: fma and fmaf, which code for machines without FMA
  /// instructions calls.
  llvm::StringRef libm;
};

RuntimeObjects getRuntimeObjects(Architecture architecture);

} // namespace mlir::trec

#endif // TREC_TARGET_RUNTIMEOBJECTS_H
