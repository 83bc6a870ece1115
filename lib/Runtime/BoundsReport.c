/* What is said and done about ids outside their tables. */
#include "Error.h"
#include "Model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The sample whose bag holds `position`: the last that begins at or before it, which passes over empty ones. */
static int64_t find_sample(const int64_t *offsets, int64_t batch_size, int64_t position) {
  int64_t low = 0, high = batch_size;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (offsets[middle] <= position)
      low = middle;
    else
      high = middle;
  }
  return low;
}

int32_t trec_fail_bad_id(const trec_model *model, const struct trec_bad_id *bad, trec_error *error) {
  const struct trec_image *image = model->image;
  const struct trec_bag_desc *bag = &image->bags[bad->bag];
  const struct trec_bag *prepared = &model->bags[bad->bag];
  error->feature = bag->feature;
  error->table = bag->table;
  error->sample = bad->sample;
  error->position = bad->position;
  error->value = bad->id;
  error->limit = prepared->args.remap ? prepared->args.num_ids : prepared->args.num_rows;
  char expected[48] = "-1";
  if (error->limit > 0)
    snprintf(expected, sizeof expected, "-1 or 0 to %" PRId64, error->limit - 1);
  trec_fail(error, TREC_OUT_OF_BOUNDS,
            "id out of bounds: feature \"%s\", table \"%s\", sample %" PRId64 ", position %" PRId64 ": id %" PRId64
            ", expected %s (%s of %" PRId64 " rows)",
            trec_show(trec_feature_name(image, bag->feature)).text, trec_show(trec_table_name(image, bag->table)).text,
            error->sample, error->position, error->value, expected,
            prepared->args.remap ? "map of a pruned table" : "table", error->limit);
  return trec_fail_batch(image, prepared->batch, error);
}

static void describe(const struct trec_job *job, const struct trec_bad_ids *bad, trec_error *error) {
  const struct trec_job_batch *batch = &job->batches[bad->batch];
  const int64_t *offsets = trec_bag_offsets(job, bad->bag);
  const int64_t sample = find_sample(offsets, batch->size, bad->position);
  const int64_t id = batch->variant == TREC_KERNEL_INT32 ? ((const int32_t *)batch->args.values)[bad->position]
                                                         : ((const int64_t *)batch->args.values)[bad->position];
  trec_fail_bad_id(job->model, &(struct trec_bad_id){bad->bag, sample, bad->position - offsets[sample], id}, error);
}

/* One write per line, so that lines of many threads do not mix. */
static void write_line(const struct trec_image *image, const char *message) {
  char line[sizeof((trec_error *)NULL)->message + sizeof(struct trec_shown) + 16];
  int length = snprintf(line, sizeof line, "trec: %s: warning: %s\n", trec_show(image->name).text, message);
  if (write(STDERR_FILENO, line, (size_t)length) < 0)
    return; /* nobody is left to be told */
}

static void warn(const trec_model *model, int64_t count, const char *when, trec_error *error) {
  size_t used = strlen(error->message);
  snprintf(error->message + used, sizeof error->message - used, "; row 0 used (%" PRId64 " bad ids in %s)", count,
           when);
  if (model->warning)
    model->warning(model->warning_user, error);
  else
    write_line(model->image, error->message);
  trec_error_reset(error);
}

int32_t trec_act_on_bad_ids(const trec_model *model, int64_t count, const char *when, trec_error *error) {
  if (model->bounds_check == TREC_BOUNDS_WARNING)
    warn(model, count, when, error);
  return error->status;
}

int32_t trec_report_bad_ids(trec_model *model, const struct trec_job *job, const struct trec_bad_ids *bad,
                            trec_error *error) {
  if (!bad->count)
    return TREC_OK;
  atomic_fetch_add_explicit(&model->bad_ids, bad->count, memory_order_relaxed);
  if (model->bounds_check == TREC_BOUNDS_IGNORE)
    return TREC_OK;
  describe(job, bad, error);
  return trec_act_on_bad_ids(model, bad->count, "this call", error);
}
