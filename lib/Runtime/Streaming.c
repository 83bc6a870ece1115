/* See Streaming.h. Measured with INT8 rows, dim 128, on an AMD EPYC (Zen 4, third level of 32 MiB), one thread: 26
 * tables of 10,000 rows and two ids a sample gained 1.4 times at 13 MiB of outputs and 1.7 at 52 MiB, one table without
 * pooling 1.4 times at 32 MiB; there at 4 MiB it took 1.6 times as long, for the outputs would have stayed in the
 * cache. With 20 ids a sample there was no gain to be seen.
 */
#include "Streaming.h"

#include <unistd.h>

enum { CACHE_LINE = 64 };

/* Rows may be read of up to so many times the bytes that are written. */
enum { MOST_READ = 2 };

/* Some machines report a last level that many cores share, or none at all. */
static const int64_t most_kept = (int64_t)16 << 20, least_kept = (int64_t)1 << 20;

int64_t trec_kept_output_bytes(void) {
  const int64_t kept = sysconf(_SC_LEVEL3_CACHE_SIZE) / 4;
  if (kept < least_kept)
    return most_kept;
  return kept < most_kept ? kept : most_kept;
}

int64_t trec_streams(const struct trec_traffic *traffic) {
  const uint64_t starts = (uintptr_t)traffic->output | (uint64_t)traffic->stride_bytes;
  return starts % CACHE_LINE == 0 && traffic->read_bytes <= traffic->written_bytes * MOST_READ;
}

void trec_finish_streams(void) {
#if defined(__x86_64__)
  __asm__ volatile("sfence" : : : "memory");
#endif
}
