/* The bytes behind trec/Target/RuntimeObjects.h; lib/Runtime/CMakeLists.txt builds the files. */
  .macro embed name, file
  .globl trec_\name\()_begin, trec_\name\()_end
  .hidden trec_\name\()_begin, trec_\name\()_end
  .balign 16
trec_\name\()_begin:
  .incbin "\file"
trec_\name\()_end:
  /* StringRef's users may want a NUL after the bytes, as MemoryBuffer does. */
  .byte 0
  .endm

  .section .rodata, "a", @progbits
  embed runtime_object, "trec_runtime.o"
  embed libc_stub, "libc_stub.so"
  embed libm_stub, "libm_stub.so"
  embed runtime_object_aarch64, "trec_runtime_aarch64.o"
  embed libc_stub_aarch64, "libc_aarch64_stub.so"
  embed libm_stub_aarch64, "libm_aarch64_stub.so"
  .section .note.GNU-stack, "", @progbits
