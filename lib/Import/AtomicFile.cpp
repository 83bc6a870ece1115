//===- AtomicFile.cpp - Files that appear whole or not at all -------------===//

#include "trec/Import/AtomicFile.h"

#include "llvm/Support/FileSystem.h"

using namespace llvm;

/// Streams through the file's descriptor, which the file keeps.
static std::error_code writeThrough(int descriptor,
                                    function_ref<void(raw_ostream &)> write) {
  raw_fd_ostream os(descriptor, /*shouldClose=*/false);
  write(os);
  os.flush();
  std::error_code code = os.error();
  // A stream that dies with an error in it would end the process.
  os.clear_error();
  return code;
}

Error mlir::trec::writeFileAtomically(StringRef path,
                                      function_ref<void(raw_ostream &)> write) {
  Expected<sys::fs::TempFile> file =
      sys::fs::TempFile::create(path + ".%%%%%%%%");
  if (!file)
    return createStringError(
        path + ": cannot be written: " + toString(file.takeError()));
  if (std::error_code code = writeThrough(file->FD, write)) {
    consumeError(file->discard());
    return createStringError(path + ": cannot be written: " + code.message());
  }
  if (Error error = file->keep(path))
    return createStringError(
        path + ": cannot be written: " + toString(std::move(error)));
  return Error::success();
}
