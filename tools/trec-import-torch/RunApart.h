//===- RunApart.h - Work that may kill its process --------------*- C++ -*-===//
//
// LibTorch was made for archives that one trusts: code or data that nests deep
// enough overflows its stack. So an archive is read in a process of its own:
//
//   Expected<int> status = runApart([&] { return import(archive); });
//   if (!status) // it died
//     return fail(toString(status.takeError()));
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_RUNAPART_H
#define TREC_IMPORT_TORCH_RUNAPART_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

namespace mlir::trec {

/// Runs `body` in a child and gives what it returns as the exit status; an
/// error names the signal that ended it. No other thread may run.
llvm::Expected<int> runApart(llvm::function_ref<int()> body);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_RUNAPART_H
