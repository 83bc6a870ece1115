/* Fetching rows before the kernels that add them are called.
 *
 * A kernel fetches ahead by itself, but neither its first ids nor, once it has begun, those of the next kernel; and
 * between the fetches for short bags it stores outputs, behind which they wait. So the rows of small batches and of
 * short bags are fetched first, as many at a time as wait in a small part of the second level of the cache.
 *
 * Measured on an AMD EPYC (Zen 4, one thread, 26 tables), of what had fetched up to 64 ids of a bag: 1.4 to 1.9 times
 * faster with INT8 rows of 10,000 in a table, dim 64, 5 ids in a bag and 16 samples or 1 id and 128. With 10 ids and
 * more in a bag a kernel does as well by itself, and up to 1.15 times better where all tables are near.
 */
#include "Model.h"

enum { CACHE_LINE = 64, WAITING_BYTES = 1 << 14 };

/* Ids of a bag's piece that are few, or few for a table that is not near; ids of a sample that are few. */
enum { FEW_IDS = 64, FEW_FAR_IDS = 256, FEW_IDS_OF_SAMPLE = 8 };

/* With more samples than this, short bags are run in blocks, each of which is fetched first. */
enum { BLOCK_UNITS = 64, BLOCK_IDS = BLOCK_UNITS * FEW_IDS_OF_SAMPLE };

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

/* Without pooling each id has an output of its own, whose stores hide less: there the kernel does as well. */
static int fetches_first(const struct trec_job *job, int64_t i, struct trec_units units, int64_t ids) {
  const struct trec_bag *bag = &job->model->bags[i];
  if (!bag->fetched_bytes)
    return 0;
  if (ids <= FEW_IDS || job->model->image->unpooled)
    return ids <= FEW_IDS;
  return ids <= (units.end - units.begin) * FEW_IDS_OF_SAMPLE || (ids <= FEW_FAR_IDS && bag->fetches_far);
}

/* Fetches the rows of a bag's piece, unless that is done block by block; the bytes that then wait for it. */
static int64_t fetch_bag(const struct trec_job *job, int64_t i, struct trec_units units) {
  const struct trec_bag *bag = &job->model->bags[i];
  if (units.begin >= units.end || !bag->fetched_bytes)
    return 0;
  if (units.end - units.begin > BLOCK_UNITS)
    return WAITING_BYTES;
  const struct trec_units positions = trec_positions(job, i, units);
  const int64_t ids = positions.end - positions.begin;
  if (!fetches_first(job, i, units, ids))
    return WAITING_BYTES;
  fetch_rows(job, bag, positions.begin, positions.end);
  return ids * bag->fetched_bytes;
}

int64_t trec_fetch_ahead(const struct trec_job *job, struct trec_cut from, struct trec_cut to) {
  int64_t waiting = 0, i = from.bag;
  for (; i < job->model->image->num_bags && i <= to.bag && waiting < WAITING_BYTES; ++i)
    waiting += fetch_bag(job, i, trec_units_between(job, i, from, to));
  return i;
}

int64_t trec_fetch_block(const struct trec_job *job, int64_t i, struct trec_units units) {
  const int64_t count = units.end - units.begin;
  if (!job->model->fetches_ahead || count <= BLOCK_UNITS)
    return units.end;
  struct trec_units positions = trec_positions(job, i, units);
  const int64_t ids = positions.end - positions.begin;
  if (!fetches_first(job, i, units, ids))
    return units.end;
  if (ids > BLOCK_IDS) {
    units.end = units.begin + (count * BLOCK_IDS + ids - 1) / ids;
    positions = trec_positions(job, i, units);
  }
  fetch_rows(job, &job->model->bags[i], positions.begin, positions.end);
  return units.end;
}
