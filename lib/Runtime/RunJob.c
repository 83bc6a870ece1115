/* Calling the kernels of one forward, here or on several threads, and gathering what they report. */
#include "Model.h"

#include <pthread.h>

struct shared_job {
  const struct trec_job *job;
  const struct trec_cut *cuts;
  struct trec_bad_ids bad; /* of all pieces so far */
  pthread_mutex_t mutex;   /* guards bad; taken only by a piece that met bad ids */
};

static const struct trec_bad_ids none_bad = {0, INT64_MAX, INT64_MAX, INT64_MAX};

static int is_before(const struct trec_bad_ids *a, const struct trec_bad_ids *b) {
  if (a->batch != b->batch)
    return a->batch < b->batch;
  return a->position != b->position ? a->position < b->position : a->bag < b->bag;
}

/* The order of batches, of positions, then of output features, decides, so that the report does not depend on
 * threads. */
static void merge(struct trec_bad_ids *into, const struct trec_bad_ids *from) {
  const int64_t count = into->count + from->count;
  if (is_before(from, into))
    *into = *from;
  into->count = count;
}

/* How the outputs of a call are best written, as far as their size says. */
static int64_t stores_of_call(const struct trec_job *job) {
  const trec_model *model = job->model;
  int64_t rows = job->args->batch_size, bytes;
  if (model->image->unpooled) {
    rows = 0;
    for (int64_t i = 0; i < model->image->num_batches; ++i)
      rows += job->batches[i].args.num_values;
  }
  if (__builtin_mul_overflow(rows, model->output_bytes, &bytes))
    bytes = INT64_MAX;
  return trec_stores_of_call(&model->output_limits, bytes);
}

static int64_t stores_of_bag(const struct trec_job *job, int64_t i, const struct trec_bag_args *call,
                             struct trec_units units) {
  const struct trec_bag *bag = &job->model->bags[i];
  if (call->stores == TREC_STORES_CACHED)
    return TREC_STORES_CACHED;
  const struct trec_units positions = trec_positions(job, i, units);
  return trec_stores_of_bag(call->stores,
                            &(struct trec_traffic){.output = call->output,
                                                   .stride_bytes = call->output_stride * job->model->element_bytes,
                                                   .written_bytes = (units.end - units.begin) * bag->output_bytes,
                                                   .read_bytes = (positions.end - positions.begin) * bag->row_bytes});
}

/* Without pooling a kernel counts positions in the batch's whole array of ids. */
static void run_ids(const struct trec_job *job, int64_t i, struct trec_bag_args *call, struct trec_units units) {
  const struct trec_bag *bag = &job->model->bags[i];
  const struct trec_units positions = trec_positions(job, i, units);
  call->output = job->args->outputs[i];
  call->output_stride = bag->dim;
  call->stores = stores_of_bag(job, i, call, units);
  bag->kernels[job->batches[bag->batch].variant](call, positions.begin, positions.end);
}

/* Pools into columns of the output, or of the tensor of a regroup. */
static void run_bags(const struct trec_job *job, int64_t i, struct trec_bag_args *call, struct trec_units units) {
  const struct trec_bag *bag = &job->model->bags[i];
  const struct trec_image *image = job->model->image;
  call->output = (char *)(image->num_outputs ? job->args->outputs[bag->output] : job->args->output) + bag->column_bytes;
  call->output_stride = image->num_outputs ? image->outputs[bag->output].dim : job->row_stride;
  call->stores = stores_of_bag(job, i, call, units);
  bag->kernels[job->batches[bag->batch].variant](call, units.begin, units.end);
}

/* A feature's whole batch before the next feature: one kernel, one table, one stream of ids at a time. */
static struct trec_bad_ids run_piece(const struct trec_job *job, struct trec_cut from, struct trec_cut to) {
  const trec_model *model = job->model;
  struct trec_bad_ids bad = none_bad;
  int64_t report[2] = {0, INT64_MAX};
  struct trec_bag_args call = {.report = report};
  int64_t unfetched = model->fetches_ahead ? from.bag : INT64_MAX;
  const int64_t stores = stores_of_call(job);
  for (int64_t i = from.bag; i < model->image->num_bags && i <= to.bag; ++i) {
    const struct trec_bag *bag = &model->bags[i];
    const trec_batch *batch = &job->batches[bag->batch].args;
    const struct trec_units units = trec_units_between(job, i, from, to);
    if (units.begin >= units.end)
      continue;
    /* While the last bag of those that were fetched is run, the next ones are on their way. */
    if (i + 1 >= unfetched)
      unfetched = trec_fetch_ahead(job, unfetched, from, to);
    call.rows = bag->rows;
    call.num_rows = bag->num_rows;
    call.indices = batch->values;
    call.offsets = trec_bag_offsets(job, i);
    call.weights = bag->weights ? bag->weights : batch->weights;
    call.remap = bag->remap;
    call.num_remap = bag->num_remap;
    call.num_ids = bag->num_ids;
    call.fetches_far = bag->fetches_far;
    call.certified_length = atomic_load_explicit(&bag->table->certified_length, memory_order_relaxed);
    call.certified_offset = atomic_load_explicit(&bag->table->certified_offset, memory_order_relaxed);
    call.stores = stores;
    for (struct trec_units block = units; block.begin < units.end; block.begin = block.end) {
      block.end = trec_fetch_block(job, i, units, block.begin);
      (model->image->unpooled ? run_ids : run_bags)(job, i, &call, block);
    }
    if (report[0]) {
      if (bag->counts_bad_ids)
        merge(&bad, &(struct trec_bad_ids){report[0], bag->batch, report[1], i});
      report[0] = 0;
      report[1] = INT64_MAX;
    }
  }
  if (stores == TREC_STORES_STREAMING)
    trec_finish_streams();
  return bad;
}

static void run_shared_piece(void *context, int64_t i) {
  struct shared_job *shared = context;
  struct trec_bad_ids bad = run_piece(shared->job, shared->cuts[i], shared->cuts[i + 1]);
  if (!bad.count)
    return;
  pthread_mutex_lock(&shared->mutex);
  merge(&shared->bad, &bad);
  pthread_mutex_unlock(&shared->mutex);
}

/* Apart from the way of one thread, whose stack and time it would burden. */
static __attribute__((noinline)) struct trec_bad_ids run_on_threads(trec_model *model, const struct trec_job *job) {
  struct trec_cut cuts[TREC_MAX_TASKS + 1];
  struct shared_job shared = {.job = job, .cuts = cuts, .bad = none_bad, .mutex = PTHREAD_MUTEX_INITIALIZER};
  const int64_t pieces = trec_partition(job, model->threads, cuts);
  if (pieces > 1 && model->parallel_for) {
    model->parallel_for(model->parallel_for_user, pieces, run_shared_piece, &shared);
    return shared.bad;
  }
  if (pieces > 1 && trec_pool_run(&model->pool, model->threads, pieces, run_shared_piece, &shared))
    return shared.bad;
  return run_piece(job, cuts[0], cuts[pieces]);
}

struct trec_bad_ids trec_run_job(trec_model *model, const struct trec_job *job) {
  if (job->args->batch_size == 0)
    return none_bad;
  if (model->threads > 1)
    return run_on_threads(model, job);
  return run_piece(job, (struct trec_cut){0, 0}, (struct trec_cut){model->image->num_bags, 0});
}
