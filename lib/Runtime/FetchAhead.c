/* Fetching rows before the kernels that add them are called.
 *
 * A kernel fetches ahead by itself, but neither its first ids nor, once it has begun, those of the next kernel; and
 * between the fetches for short bags it stores outputs, behind which they wait. So the rows of small batches and, where
 * that gains, of short bags are fetched first, as many at a time as wait in a small part of the first caches.
 */
#include "Model.h"

enum { CACHE_LINE = 64, WAITING_BYTES = 1 << 13 };

/* Ids of a bag's piece that are few, and few for a table that is not near. */
enum { FEW_IDS = 64, FEW_FAR_IDS = 128 };

/* Short bags are run in blocks of so many ids, each of which is fetched first. */
enum { BLOCK_IDS = 512 };

/* The row may not be there, for an id of -1 or a bad one; to fetch from any address is harmless. The assembly is empty:
 * compilers drop calls of functions that only fetch, as having no effect. */
static inline void fetch_row(const struct trec_bag *bag, int64_t id) {
  const uintptr_t row = (uintptr_t)bag->args.rows + (uintptr_t)id * (uintptr_t)bag->fetched_bytes;
  for (int64_t byte = 0; byte < bag->fetched_bytes; byte += CACHE_LINE)
    __builtin_prefetch((const void *)(row + (uintptr_t)byte), 0, 2);
  if (bag->fetches_end)
    __builtin_prefetch((const void *)(row + (uintptr_t)bag->fetched_bytes - 1), 0, 2);
  __asm__ volatile("" : : "r"(row));
}

static void fetch_rows(const struct trec_part *part, struct trec_units positions) {
  const int32_t *ids32 = part->batch->args.values;
  const int64_t *ids64 = part->batch->args.values;
  if (part->batch->variant == TREC_KERNEL_INT32)
    for (int64_t i = positions.begin; i < positions.end; ++i)
      fetch_row(part->bag, ids32[i]);
  else
    for (int64_t i = positions.begin; i < positions.end; ++i)
      fetch_row(part->bag, ids64[i]);
}

/* Without pooling each id has an output of its own, and kernels do as well by themselves. */
static int fetches_first(const struct trec_model *model, const struct trec_part *part, int64_t ids) {
  if (ids <= FEW_IDS || model->unpooled)
    return ids <= FEW_IDS;
  if (ids <= FEW_FAR_IDS && part->bag->args.fetches_far)
    return 1;
  const int64_t short_bag = ids <= BLOCK_IDS ? model->short_bag : part->bag->short_bag;
  return ids <= (part->units.end - part->units.begin) * short_bag;
}

/* Fetches the rows of a part. The bytes that then wait for it; where that is not done here, for its kernel takes long
 * or it is done block by block, all that may wait. */
static int64_t fetch_part(const struct trec_model *model, const struct trec_part *part) {
  const int64_t count = part->units.end - part->units.begin, ids = part->positions.end - part->positions.begin;
  if (count <= 0 || !part->bag->fetched_bytes)
    return 0;
  if (count > TREC_BLOCK_UNITS || !fetches_first(model, part, ids))
    return WAITING_BYTES;
  fetch_rows(part, part->positions);
  return ids * part->bag->fetched_bytes;
}

int64_t trec_fetch_ahead(const struct trec_job *job, int64_t i, struct trec_cut from, struct trec_cut to) {
  int64_t waiting = 0;
  for (; i < job->model->image->num_bags && i <= to.bag && waiting < WAITING_BYTES; ++i) {
    const struct trec_part part = trec_part_of(job, i, from, to);
    waiting += fetch_part(job->model, &part);
  }
  return i;
}

/* Bags that are short on the average may be long in one block, whose rows then leave the cache before their turn. */
struct trec_block trec_fetch_block(const struct trec_job *job, const struct trec_part *part, int64_t begin) {
  const struct trec_units units = part->units;
  const int64_t ids = part->positions.end - part->positions.begin;
  struct trec_block block = {{begin, units.end}, 0};
  if (!job->model->fetches_ahead || !part->bag->fetched_bytes || !fetches_first(job->model, part, ids))
    return block;
  const int64_t blocks = ids > BLOCK_IDS ? (ids + BLOCK_IDS - 1) / BLOCK_IDS : 1;
  const int64_t end = begin + (units.end - units.begin + blocks - 1) / blocks;
  if (end < units.end)
    block.units.end = end;
  const struct trec_units positions = trec_positions(job->model, part->offsets, block.units);
  block.is_fetched = positions.end - positions.begin <= 2 * BLOCK_IDS;
  if (block.is_fetched)
    fetch_rows(part, positions);
  return block;
}
