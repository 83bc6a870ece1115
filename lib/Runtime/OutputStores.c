/* See OutputStores.h. Measured with INT8 rows, dim 128, one thread.
 *
 * Streaming, on an AMD EPYC (Zen 4, third level of 32 MiB): 26 tables of 10,000 rows and two ids a sample gained 1.4
 * times at 13 MiB of outputs and 1.7 at 52 MiB, one table without pooling 1.4 times at 32 MiB; there at 4 MiB it took
 * 1.6 times as long, for the outputs would have stayed in the cache. With 20 ids a sample there was no gain to be seen.
 *
 * Fetching, on an Intel Xeon (Emerald Rapids, second level of 2 MiB): 26 tables and 3.4 MiB of outputs gained 1.2
 * to 1.3 times with one id a sample and 1.1 with two. Of 0.85 MiB, in rows of two lines, one id gained 1.05 to 1.15 and
 * two 0.97 to 1.15.
 */
#include "OutputStores.h"
#include "trec/Runtime/KernelABI.h"

enum { CACHE_LINE = 64 };

/* Rows may be read of up to so many times the bytes that are written. */
enum { MOST_READ = 2 };

/* Some machines report a last level that many cores share, or none at all. */
enum { LEAST_KEPT = 1 << 20, MOST_KEPT = 16 << 20 };

struct trec_output_limits trec_output_limits_of(const struct trec_cpu *cpu) {
  const int64_t kept = cpu->third_level / 4;
  const int64_t streaming = kept >= LEAST_KEPT && kept < MOST_KEPT ? kept : MOST_KEPT;
  return (struct trec_output_limits){.fetched = cpu->second_level / 4, .streaming = streaming};
}

int64_t trec_stores_of_call(const struct trec_output_limits *limits, int64_t bytes) {
  if (bytes > limits->streaming)
    return TREC_STORES_STREAMING;
  return bytes > limits->fetched ? TREC_STORES_FETCHED : TREC_STORES_CACHED;
}

int64_t trec_stores_of_bag(int64_t stores_of_call, const struct trec_traffic *traffic) {
  const uint64_t starts = (uintptr_t)traffic->output | (uint64_t)traffic->stride_bytes;
  if (traffic->read_bytes > traffic->written_bytes * MOST_READ)
    return TREC_STORES_CACHED;
  return stores_of_call == TREC_STORES_STREAMING && starts % CACHE_LINE ? TREC_STORES_FETCHED : stores_of_call;
}

void trec_finish_streams(void) {
#if defined(__x86_64__)
  __asm__ volatile("sfence" : : : "memory");
#endif
}
