/* Calling the kernels of one forward, here or on several threads, and gathering what they report. */
#include "Model.h"
#include "NearTables.h"

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
  if (model->unpooled) {
    rows = 0;
    for (int64_t i = 0; i < model->image->num_batches; ++i)
      rows += job->batches[i].args.num_values;
  }
  if (__builtin_mul_overflow(rows, model->output_bytes, &bytes))
    bytes = INT64_MAX;
  return trec_stores_of_call(&model->output_limits, bytes);
}

static int64_t stores_of_part(const struct trec_job *job, const struct trec_part *part,
                              const struct trec_bag_args *call, int64_t stores) {
  const struct trec_bag *bag = part->bag;
  const int64_t units = part->units.end - part->units.begin, ids = part->positions.end - part->positions.begin;
  return trec_stores_of_bag(stores,
                            &(struct trec_traffic){.output = call->output,
                                                   .stride_bytes = call->output_stride * job->model->element_bytes,
                                                   .written_bytes = units * bag->output_bytes,
                                                   .read_bytes = ids * bag->row_bytes});
}

/* Rows of a tensor of their own, or columns of the output, or of the tensor of a regroup. */
static void set_output(const struct trec_job *job, int64_t i, struct trec_bag_args *call) {
  const struct trec_bag *bag = &job->model->bags[i];
  const struct trec_image *image = job->model->image;
  if (job->model->unpooled) {
    call->output = job->args->outputs[i];
    call->output_stride = bag->dim;
  } else if (image->num_outputs) {
    call->output = (char *)job->args->outputs[bag->output] + bag->column_bytes;
    call->output_stride = image->outputs[bag->output].dim;
  } else {
    call->output = (char *)job->args->output + bag->column_bytes;
    call->output_stride = job->row_stride;
  }
}

/* Without pooling a kernel counts positions in the batch's whole array of ids. */
static void call_kernel(const struct trec_job *job, const struct trec_part *part, struct trec_bag_args *call,
                        struct trec_units units) {
  if (job->model->unpooled)
    units = trec_positions(job->model, part->offsets, units);
  else
    call->have_one_id = trec_have_one_id(part->offsets, units.begin, units.end);
  part->bag->kernels[part->batch->variant](call, units.begin, units.end);
}

static void run_part(const struct trec_job *job, const struct trec_part *part, struct trec_bag_args *call) {
  const struct trec_units all = part->units;
  const int64_t far = call->fetches_far;
  if (all.end - all.begin <= TREC_BLOCK_UNITS) {
    call_kernel(job, part, call, all);
    return;
  }
  for (int64_t begin = all.begin; begin < all.end;) {
    const struct trec_block block = trec_fetch_block(job, part, begin);
    call->fetches_far = block.is_fetched ? 0 : far;
    call_kernel(job, part, call, block.units);
    begin = block.units.end;
  }
}

/* A feature's whole batch before the next feature: one kernel, one table, one stream of ids at a time. */
static struct trec_bad_ids run_piece(const struct trec_job *job, struct trec_cut from, struct trec_cut to) {
  const trec_model *model = job->model;
  struct trec_bad_ids bad = none_bad;
  int64_t report[2] = {0, INT64_MAX};
  int64_t unfetched = model->fetches_ahead ? from.bag : INT64_MAX;
  const int64_t stores = stores_of_call(job), num_bags = model->image->num_bags;
  for (int64_t i = from.bag; i < num_bags && i <= to.bag; ++i) {
    const struct trec_part part = trec_part_of(job, i, from, to);
    if (part.units.begin >= part.units.end)
      continue;
    /* While the last bag of those that were fetched is run, the next ones are on their way. */
    if (i + 1 >= unfetched)
      unfetched = trec_fetch_ahead(job, unfetched, from, to);
    const struct trec_bag *bag = part.bag;
    struct trec_bag_args call = bag->args;
    call.indices = part.batch->args.values;
    call.offsets = part.offsets;
    if (!call.weights)
      call.weights = part.batch->args.weights;
    call.report = report;
    call.certified_length = atomic_load_explicit(&bag->table->certified_length, memory_order_relaxed);
    call.certified_offset = atomic_load_explicit(&bag->table->certified_offset, memory_order_relaxed);
    set_output(job, i, &call);
    if (stores != TREC_STORES_CACHED) {
      call.stores = stores_of_part(job, &part, &call, stores);
      if (call.stores == TREC_STORES_FETCHED)
        call.fetches_far = trec_fetches_far_beside_outputs(call.fetches_far, bag->row_bytes);
    }
    run_part(job, &part, &call);
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
