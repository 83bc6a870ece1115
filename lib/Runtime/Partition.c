/* Cutting a batch into pieces for threads: along the output features first, within one by samples. */
#include "Model.h"

/* In units of some bytes read. Waking a thread costs what reading 64 KiB does, so less is not shared; and a row costs
 * more than its bytes, for its first cache line has to be waited for. */
enum { MIN_SHARED_COST = 1 << 16, MIN_PIECE_COST = 1 << 14, COST_OF_ROW = 64, COST_OF_BAG = 64, PIECES_PER_THREAD = 4 };

/* Above any real batch, and low enough that sums over a million bags do not overflow. */
static const int64_t max_bag_cost = (int64_t)1 << 42;

/* What one sample of an output feature costs on average. */
static int64_t sample_cost(const struct trec_job *job, int64_t bag) {
  const struct trec_image *image = job->model->image;
  const int64_t batch = job->args->batch_size;
  const int64_t *offsets = job->offsets + trec_slot(job->args, job->model->bags[bag].feature) * batch;
  const int64_t row_cost = image->tables[image->bags[bag].table].row_bytes + COST_OF_ROW;
  const int64_t most = max_bag_cost / batch + 1;
  int64_t cost;
  if (__builtin_mul_overflow((offsets[batch] - offsets[0]) / batch + 1, row_cost, &cost) || cost > most - COST_OF_BAG)
    return most;
  return cost + COST_OF_BAG;
}

int64_t trec_partition(const struct trec_job *job, int32_t threads, struct trec_cut cuts[TREC_MAX_TASKS + 1]) {
  const int64_t bags = job->model->image->num_bags, batch = job->args->batch_size;
  int64_t total = 0, before = 0, made = 1;
  for (int64_t bag = 0; bag < bags; ++bag)
    total += sample_cost(job, bag) * batch;
  int64_t pieces = total < MIN_SHARED_COST ? 1 : total / MIN_PIECE_COST;
  if (pieces > (int64_t)threads * PIECES_PER_THREAD)
    pieces = (int64_t)threads * PIECES_PER_THREAD;
  if (pieces > TREC_MAX_TASKS)
    pieces = TREC_MAX_TASKS;
  cuts[0] = (struct trec_cut){0, 0};
  for (int64_t bag = 0; bag < bags && made < pieces; ++bag) {
    const int64_t each = sample_cost(job, bag);
    for (; made < pieces && total / pieces * made < before + each * batch; ++made)
      cuts[made] = (struct trec_cut){bag, (total / pieces * made - before) / each};
    before += each * batch;
  }
  cuts[pieces] = (struct trec_cut){bags, 0};
  return pieces;
}
