/* Which outputs are written around the cache.
 *
 * A store brings its line into the cache first, and pushes another out. Where a call's outputs are more than the cache
 * keeps until they are read, and the rows are fewer bytes than the outputs, that is most of what moves. So kernels that
 * can (`stores = streaming` of their lowering) then write whole lines to memory.
 */
#ifndef TREC_RUNTIME_STREAMING_H
#define TREC_RUNTIME_STREAMING_H

#include <stdint.h>

/* The bytes of a call's outputs up to which they are left to the cache of this machine. */
int64_t trec_kept_output_bytes(void);

/* What one kernel call writes and reads. */
struct trec_traffic {
  const void *output;
  int64_t stride_bytes; /* from one row of output to the next */
  int64_t written_bytes;
  int64_t read_bytes; /* of rows */
};

/* Whether it writes around the cache, where the call's outputs are more than the cache keeps: 0 or 1. */
int64_t trec_streams(const struct trec_traffic *traffic);

/* After the last kernel of a thread that did so: others see what it wrote once they see what it writes next. */
void trec_finish_streams(void);

#endif /* TREC_RUNTIME_STREAMING_H */
