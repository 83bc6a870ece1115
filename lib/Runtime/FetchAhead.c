/* Fetching rows before the kernels that add them are called.
 *
 * A kernel fetches ahead by itself, but neither its first ids nor, once it has begun, those of the next kernel. In a
 * small batch there are no others, and each kernel would wait for rows that might all have been on their way.
 */
#include "Model.h"

/* What waits in the second level of the cache at a time is a small part of it. With more ids than this a kernel fetches
 * far ahead by itself, and the few at its beginning do not matter. */
enum { CACHE_LINE = 64, WAITING_BYTES = 1 << 17, MOST_IDS = 64 };

/* The row may not be there, for an id of -1 or a bad one; to fetch from any address is harmless. The assembly is empty:
 * compilers drop calls of functions that only fetch, as having no effect. */
static void fetch_row(const struct trec_bag *bag, int64_t id) {
  const uintptr_t row = (uintptr_t)bag->rows + (uintptr_t)id * (uintptr_t)bag->fetched_bytes;
  for (int64_t byte = 0; byte < bag->fetched_bytes; byte += CACHE_LINE)
    __builtin_prefetch((const void *)(row + (uintptr_t)byte), 0, 2);
  if (bag->fetches_end)
    __builtin_prefetch((const void *)(row + (uintptr_t)bag->fetched_bytes - 1), 0, 2);
  __asm__ volatile("" : : "r"(row));
}

static void fetch_rows(const struct trec_job *job, const struct trec_bag *bag, int64_t begin, int64_t end) {
  const struct trec_job_batch *batch = &job->batches[bag->batch];
  const int32_t *ids32 = batch->args.values;
  const int64_t *ids64 = batch->args.values;
  if (batch->variant == TREC_KERNEL_INT32)
    for (int64_t i = begin; i < end; ++i)
      fetch_row(bag, ids32[i]);
  else
    for (int64_t i = begin; i < end; ++i)
      fetch_row(bag, ids64[i]);
}

/* Fetches the rows of a bag with few ids; the bytes that wait for it, or, where there are many, all that may wait. */
static int64_t fetch_bag(const struct trec_job *job, int64_t i, struct trec_units units) {
  const struct trec_bag *bag = &job->model->bags[i];
  if (units.begin >= units.end || !bag->fetched_bytes)
    return 0;
  const struct trec_units positions = trec_positions(job, i, units);
  const int64_t count = positions.end - positions.begin;
  if (count > MOST_IDS)
    return WAITING_BYTES;
  fetch_rows(job, bag, positions.begin, positions.end);
  return count * bag->fetched_bytes;
}

int64_t trec_fetch_ahead(const struct trec_job *job, struct trec_cut from, struct trec_cut to) {
  int64_t waiting = 0, i = from.bag;
  for (; i < job->model->image->num_bags && i <= to.bag && waiting < WAITING_BYTES; ++i)
    waiting += fetch_bag(job, i, trec_units_between(job, i, from, to));
  return i;
}
