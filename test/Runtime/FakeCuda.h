/* A stand-in for libcuda.so.1, so that the runtime's work on GPUs can be tested where there is none.
 *
 * Device memory is memory of the heap, and kernels are C code for the test images. Copies and launches wait in a queue
 * as on a stream: they are done when someone waits for the device, or by fake_cuda_run. What nobody waits for has not
 * happened, so tests see that forward returns before its work is done, and that nothing is freed or overwritten that a
 * queued copy still reads.
 */
#ifndef TREC_TEST_RUNTIME_FAKE_CUDA_H
#define TREC_TEST_RUNTIME_FAKE_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a launch asks the cache to keep; all 0: nothing. */
struct fake_window {
  unsigned long long begin;
  size_t bytes;
  float hit_ratio;
  int hit, miss;
};

/* Set before a call; fake_cuda_reset sets what a good machine has. */
struct fake_cuda {
  int version, devices, capability;
  int is_unpooled;     /* what the kernels do */
  size_t memory;       /* of the device; less what is allocated are free */
  size_t host_memory;  /* that may be pinned at once */
  int max_blocks;      /* of a launch */
  int max_persisting;  /* bytes of the cache that may be set aside */
  int max_window;      /* bytes of an access window */
  const char *failing; /* a function that gives `result` from the call on that skips others have come before */
  int result, skips;
  int is_capturing; /* a graph, which ends where memory is taken or freed, unless this thread's mode is relaxed */
  /* Seen. */
  const void *code; /* of the module loaded last */
  size_t allocated; /* bytes of device memory */
  size_t l2_fetch_bytes, l2_persist_bytes;
  struct fake_window window; /* of the last launch of a model */
  int contexts, pushed;      /* retained, and made current */
  int64_t first_length;      /* promised of the bags of the last launch's first lookup; -1: none */
  int allocations, host_allocations, copies, launches, few_launches, shared_launches, waits, queued;
  int ended_captures;
};

struct fake_cuda *fake_cuda_state(void);
void fake_cuda_reset(void);

/* Does all that is queued. */
void fake_cuda_run(void);

#ifdef __cplusplus
}
#endif
#endif /* TREC_TEST_RUNTIME_FAKE_CUDA_H */
