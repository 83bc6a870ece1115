// See RuntimeObjects.h. The symbols are those of RuntimeObjectBytes.S.
#include "trec/Target/RuntimeObjects.h"

using llvm::StringRef;

extern "C" {
extern const char trec_runtime_object_begin[], trec_runtime_object_end[];
extern const char trec_libc_stub_begin[], trec_libc_stub_end[];
extern const char trec_libm_stub_begin[], trec_libm_stub_end[];
}

StringRef mlir::trec::getRuntimeObject() {
  return StringRef(trec_runtime_object_begin,
                   trec_runtime_object_end - trec_runtime_object_begin);
}

StringRef mlir::trec::getLibcStub() {
  return StringRef(trec_libc_stub_begin,
                   trec_libc_stub_end - trec_libc_stub_begin);
}

StringRef mlir::trec::getLibmStub() {
  return StringRef(trec_libm_stub_begin,
                   trec_libm_stub_end - trec_libm_stub_begin);
}
