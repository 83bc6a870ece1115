// See RuntimeObjects.h. The symbols are those of RuntimeObjectBytes.S.
#include "trec/Target/RuntimeObjects.h"

#include "llvm/Support/ErrorHandling.h"

using llvm::StringRef;
using namespace mlir::trec;

#define TREC_EMBEDDED(name)                                                    \
  extern "C" const char trec_##name##_begin[], trec_##name##_end[];            \
  static StringRef get_##name() {                                              \
    return StringRef(trec_##name##_begin,                                      \
                     trec_##name##_end - trec_##name##_begin);                 \
  }

TREC_EMBEDDED(runtime_object)
TREC_EMBEDDED(libc_stub)
TREC_EMBEDDED(libm_stub)
TREC_EMBEDDED(runtime_object_aarch64)
TREC_EMBEDDED(libc_stub_aarch64)
TREC_EMBEDDED(libm_stub_aarch64)

RuntimeObjects mlir::trec::getRuntimeObjects(Architecture architecture) {
  switch (architecture) {
  case Architecture::x86_64:
    return {get_runtime_object(), get_libc_stub(), get_libm_stub()};
  case Architecture::aarch64:
    return {get_runtime_object_aarch64(), get_libc_stub_aarch64(),
            get_libm_stub_aarch64()};
  }
  llvm_unreachable("all architectures are listed");
}
