//===- LinkSharedLibrary.h - Object code to a shared library ----*- C++ -*-===//
//
// Links objects with the runtime, by lld inside this process, against stubs of
// libc and libm: nothing of the host gets into the bytes.
//
// lld resets all command line options of the process: a tool must have copied
// what it still needs of its own.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_LINKSHAREDLIBRARY_H
#define TREC_TARGET_LINKSHAREDLIBRARY_H

#include "trec/Transforms/CPULevel.h"

#include "mlir/Support/LLVM.h"
#include "llvm/Support/Error.h"

namespace mlir::trec {

/// Links the objects and the runtime of their architecture to a shared library
/// at `path`. The file appears whole or not at all.
llvm::Error linkSharedLibrary(ArrayRef<StringRef> objects,
                              Architecture architecture, StringRef path);

/// Combines the objects, without the runtime, to one relocatable object.
llvm::Error linkRelocatable(ArrayRef<StringRef> objects, StringRef path);

} // namespace mlir::trec

#endif // TREC_TARGET_LINKSHAREDLIBRARY_H
