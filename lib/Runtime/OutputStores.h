/* How outputs are written.
 *
 * A store brings its line into the cache first, and pushes another out. Where a call's outputs are more than the second
 * level of the cache keeps beside rows, and few rows are read for each, kernels wait for these lines; those that pool
 * then fetch them before, a bag's own or those of some bags ahead (`output_distance` of their lowering). Where the
 * outputs are more than the last level keeps until they are read, bringing lines in is most of what moves. Kernels that
 * can (`stores = streaming`) then write whole lines to memory.
 */
#ifndef TREC_RUNTIME_OUTPUTSTORES_H
#define TREC_RUNTIME_OUTPUTSTORES_H

#include "Machine.h"

/* The bytes of a call's outputs above which they are fetched, and above which they are written around the cache. */
struct trec_output_limits {
  int64_t fetched, streaming;
};

struct trec_output_limits trec_output_limits_of(const struct trec_cpu *cpu);

/* What one kernel call writes and reads. */
struct trec_traffic {
  const void *output;
  int64_t stride_bytes; /* from one row of output to the next */
  int64_t written_bytes;
  int64_t read_bytes; /* of rows */
};

/* TREC_STORES_* for outputs of so many bytes in all. */
int64_t trec_stores_of_call(const struct trec_output_limits *limits, int64_t bytes);

/* What of this one kernel call is to do. */
int64_t trec_stores_of_bag(int64_t stores_of_call, const struct trec_traffic *traffic);

/* After the last kernel of a thread in a call that writes around the cache: others see what it wrote once they see what
 * it writes next. */
void trec_finish_streams(void);

#endif /* TREC_RUNTIME_OUTPUTSTORES_H */
