/* Cutting a batch into pieces for threads: along the output features first, within one by samples or ids. */
#include "Model.h"

/* In units of some bytes read. Waking a thread costs what reading 64 KiB does, so less is not shared; and a row costs
 * more than its bytes, for its first cache line has to be waited for. */
enum { MIN_SHARED_COST = 1 << 16, MIN_PIECE_COST = 1 << 14, COST_OF_ROW = 64, COST_OF_BAG = 64, PIECES_PER_THREAD = 4 };

/* Above any real batch, and low enough that sums over a million bags do not overflow. */
static const int64_t max_bag_cost = (int64_t)1 << 42;

/* What one sample of an output feature, or one id, costs on average. */
static int64_t unit_cost(const struct trec_job *job, int64_t bag) {
  const struct trec_image *image = job->model->image;
  const int64_t batch = job->args->batch_size, units = trec_bag_units(job, bag);
  const int64_t *offsets = trec_bag_offsets(job, bag);
  const int64_t row_cost = image->tables[image->bags[bag].table].row_bytes + COST_OF_ROW;
  if (!units)
    return 0;
  const int64_t most = max_bag_cost / units + 1;
  int64_t cost;
  if (__builtin_mul_overflow((offsets[batch] - offsets[0]) / units + 1, row_cost, &cost) || cost > most - COST_OF_BAG)
    return most;
  return cost + COST_OF_BAG;
}

int64_t trec_partition(const struct trec_job *job, int32_t threads, struct trec_cut cuts[TREC_MAX_TASKS + 1]) {
  const int64_t bags = job->model->image->num_bags;
  int64_t total = 0, before = 0, made = 1;
  for (int64_t bag = 0; bag < bags; ++bag)
    total += unit_cost(job, bag) * trec_bag_units(job, bag);
  int64_t pieces = total < MIN_SHARED_COST ? 1 : total / MIN_PIECE_COST;
  if (pieces > (int64_t)threads * PIECES_PER_THREAD)
    pieces = (int64_t)threads * PIECES_PER_THREAD;
  if (pieces > TREC_MAX_TASKS)
    pieces = TREC_MAX_TASKS;
  cuts[0] = (struct trec_cut){0, 0};
  for (int64_t bag = 0; bag < bags && made < pieces; ++bag) {
    const int64_t each = unit_cost(job, bag), cost = each * trec_bag_units(job, bag);
    for (; made < pieces && total / pieces * made < before + cost; ++made)
      cuts[made] = (struct trec_cut){bag, (total / pieces * made - before) / each};
    before += cost;
  }
  cuts[pieces] = (struct trec_cut){bags, 0};
  return pieces;
}
