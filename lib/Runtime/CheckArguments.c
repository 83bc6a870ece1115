/* The checks of a forward that read no lengths, offsets or ids: pointers, counts, types, sizes. */
#include "Error.h"
#include "Model.h"

#include <inttypes.h>
#include <string.h>

static int is_id_type(int32_t type) { return type == TREC_INT32 || type == TREC_INT64; }

static int32_t check_type(const char *name, int32_t type, trec_error *error) {
  if (is_id_type(type))
    return TREC_OK;
  return trec_fail(error, TREC_INVALID_ARGUMENT, "%s is %d, expected TREC_INT32 (%d) or TREC_INT64 (%d)", name, type,
                   TREC_INT32, TREC_INT64);
}

static int32_t check_count(const char *name, int64_t count, trec_error *error) {
  if (count >= 0)
    return TREC_OK;
  return trec_fail(error, TREC_INVALID_ARGUMENT, "%s is %" PRId64 ", expected 0 or more", name, count);
}

static int32_t check_counts(const trec_batch *args, trec_error *error) {
  const int32_t status = check_count("num_keys", args->num_keys, error);
  return status == TREC_OK ? check_count("num_values", args->num_values, error) : status;
}

static int32_t check_arrays(const trec_batch *args, trec_error *error) {
  if (!args->values && args->num_values)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "values is null, but num_values is %" PRId64, args->num_values);
  if (!args->lengths == !args->offsets)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "%s lengths and offsets, expected exactly one of them",
                     args->lengths ? "both" : "neither of");
  int32_t status = check_type("values_type", args->values_type, error);
  if (status != TREC_OK)
    return status;
  return args->lengths ? check_type("lengths_type", args->lengths_type, error)
                       : check_type("offsets_type", args->offsets_type, error);
}

/* Each kind of model has its own way to pass outputs; both at once would hide a mistake. */
static int32_t check_kind_of_output(const trec_model *model, const trec_forward_args *args, trec_error *error) {
  const struct trec_image *image = model->image;
  if (!image->unpooled && !image->num_outputs) {
    if (args->outputs || args->outputs_bytes)
      return trec_fail(error, TREC_INVALID_ARGUMENT, "outputs given, but model \"%s\" pools: expected output",
                       trec_show(image->name).text);
    return TREC_OK;
  }
  const char *kind = image->unpooled ? "does not pool" : "regroups";
  if (args->output || args->output_bytes || args->output_row_stride)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output given, but model \"%s\" %s: expected outputs",
                     trec_show(image->name).text, kind);
  const int64_t needed = image->unpooled ? args->num_values : args->batch_size;
  if (needed && (!args->outputs || !args->outputs_bytes))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "%s is null, but model \"%s\" %s",
                     args->outputs ? "outputs_bytes" : "outputs", trec_show(image->name).text, kind);
  return TREC_OK;
}

/* The tensors of a regroup. */
static int32_t check_groups(const trec_model *model, const trec_forward_args *args, trec_error *error) {
  const struct trec_image *image = model->image;
  for (int64_t i = 0; i < image->num_outputs && args->batch_size; ++i) {
    const char *name = trec_output_name(image, i);
    int64_t bytes;
    if (__builtin_mul_overflow(args->batch_size, image->outputs[i].dim * model->element_bytes, &bytes))
      return trec_fail(error, TREC_INVALID_ARGUMENT, "output %" PRId64 " (group \"%s\"): %" PRId64 " rows overflow", i,
                       trec_show(name).text, args->batch_size);
    if (!args->outputs[i])
      return trec_fail(error, TREC_INVALID_ARGUMENT, "output %" PRId64 " (group \"%s\") is null", i,
                       trec_show(name).text);
    if (args->outputs_bytes[i] < (uint64_t)bytes)
      return trec_fail(error, TREC_INVALID_ARGUMENT,
                       "output %" PRId64 " (group \"%s\") has %" PRIu64 " bytes, expected at least %" PRId64
                       " for %" PRId64 " samples",
                       i, trec_show(name).text, args->outputs_bytes[i], bytes, args->batch_size);
  }
  return TREC_OK;
}

static int32_t check_output(const trec_model *model, const trec_forward_args *args, trec_error *error) {
  int32_t status = check_kind_of_output(model, args, error);
  if (status != TREC_OK || model->image->unpooled)
    return status;
  if (model->image->num_outputs)
    return check_groups(model, args, error);
  const int64_t total = model->image->total_dim, stride = args->output_row_stride ? args->output_row_stride : total;
  int64_t bytes = 0;
  if (stride < total)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output_row_stride is %" PRId64 ", expected 0 or at least %" PRId64,
                     stride, total);
  if (args->batch_size == 0 || total == 0)
    return TREC_OK;
  if (__builtin_mul_overflow(args->batch_size - 1, stride, &bytes) || __builtin_add_overflow(bytes, total, &bytes) ||
      __builtin_mul_overflow(bytes, model->element_bytes, &bytes))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output of %" PRId64 " rows of %" PRId64 " elements overflows",
                     args->batch_size, stride);
  if (!args->output)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output is null");
  if (args->output_bytes < (uint64_t)bytes)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output_bytes is %" PRIu64 ", expected at least %" PRId64,
                     args->output_bytes, bytes);
  return TREC_OK;
}

static int32_t check_slots(const struct trec_image *image, const struct trec_job_batch *batch, trec_error *error) {
  const trec_batch *args = &batch->args;
  int64_t expected = 0;
  /* The common case, told without a look at each feature. */
  if (!args->slots && args->num_keys >= image->num_features)
    return TREC_OK;
  for (int64_t feature = 0; feature < image->num_features; ++feature)
    expected += image->features[feature].batch == batch->index;
  for (int64_t feature = 0; feature < image->num_features; ++feature) {
    const int64_t slot = trec_slot(batch, image->features[feature].index);
    if (image->features[feature].batch != batch->index || (slot >= 0 && slot < args->num_keys))
      continue;
    const struct trec_shown name = trec_show(trec_feature_name(image, feature));
    error->feature = feature;
    error->value = slot;
    error->limit = args->num_keys;
    if (args->slots)
      return trec_fail(error, TREC_INVALID_INPUT,
                       "feature \"%s\": slot %" PRId64 " is none of the batch's %" PRId64 " keys", name.text, slot,
                       args->num_keys);
    return trec_fail(error, TREC_INVALID_INPUT,
                     "feature \"%s\" is missing: the batch has %" PRId64 " keys and no slots, expected %" PRId64
                     " or more keys",
                     name.text, args->num_keys, expected);
  }
  return TREC_OK;
}

static int32_t check_weights(const struct trec_image *image, const struct trec_job_batch *batch, trec_error *error) {
  const trec_batch *args = &batch->args;
  const int weighted = image->weighted >> batch->index & 1;
  const char *what = image->num_batches > 1 ? "this batch of model" : "model";
  if (!weighted && (args->weights || args->num_weights))
    return trec_fail(error, TREC_INVALID_INPUT, "weights given, but %s \"%s\" is not weighted", what,
                     trec_show(image->name).text);
  if (!weighted)
    return TREC_OK;
  if (!args->weights && args->num_values)
    return trec_fail(error, TREC_INVALID_INPUT, "weights is null, but %s \"%s\" is weighted", what,
                     trec_show(image->name).text);
  if (args->num_weights != args->num_values) {
    error->value = args->num_weights;
    error->limit = args->num_values;
    return trec_fail(error, TREC_INVALID_INPUT, "%" PRId64 " weights for %" PRId64 " values", args->num_weights,
                     args->num_values);
  }
  return TREC_OK;
}

static int32_t check_output_of(const trec_model *model, const trec_forward_args *args, int64_t i, int64_t ids,
                               trec_error *error) {
  const struct trec_bag *bag = &model->bags[i];
  int64_t bytes;
  error->feature = bag->feature;
  const char *feature = trec_feature_name(model->image, bag->feature);
  if (__builtin_mul_overflow(ids, bag->dim * model->element_bytes, &bytes))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output %" PRId64 " (feature \"%s\"): %" PRId64 " rows overflow", i,
                     trec_show(feature).text, ids);
  if (!args->outputs[i])
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output %" PRId64 " (feature \"%s\") is null", i,
                     trec_show(feature).text);
  if (args->outputs_bytes[i] < (uint64_t)bytes)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "output %" PRId64 " (feature \"%s\") has %" PRIu64 " bytes, expected at least %" PRId64
                     " for %" PRId64 " ids",
                     i, trec_show(feature).text, args->outputs_bytes[i], bytes, ids);
  error->feature = -1;
  return TREC_OK;
}

int32_t trec_check_outputs(const struct trec_job *job, trec_error *error) {
  for (int64_t i = 0; i < job->model->image->num_bags; ++i) {
    const int64_t ids = trec_bag_units(job, i);
    const int32_t status = ids ? check_output_of(job->model, job->args, i, ids, error) : TREC_OK;
    if (status != TREC_OK)
      return status;
  }
  return TREC_OK;
}

/* The first sample of a bag with fewer than `least` or more than `most` ids; -1 where there is none. */
static int64_t find_length(const struct trec_job *job, int64_t i, int64_t least, int64_t most) {
  const int64_t *begin = trec_bag_offsets(job, i);
  for (int64_t sample = 0; sample < job->args->batch_size; ++sample) {
    const int64_t length = begin[sample + 1] - begin[sample];
    if (length < least || length > most)
      return sample;
  }
  return -1;
}

static int32_t fail_length(const struct trec_job *job, int64_t i, int64_t sample, trec_error *error) {
  const struct trec_image *image = job->model->image;
  const struct trec_bag *bag = &job->model->bags[i];
  const int64_t *begin = trec_bag_offsets(job, i) + sample;
  const struct trec_shown feature = trec_show(trec_feature_name(image, bag->feature));
  error->feature = bag->feature;
  error->sample = sample;
  error->value = begin[1] - begin[0];
  if (bag->length >= 0 && error->value != bag->length) {
    error->limit = bag->length;
    trec_fail(error, TREC_INVALID_INPUT,
              "feature \"%s\", sample %" PRId64 ": %" PRId64 " ids, expected the fixed length of %" PRId64,
              feature.text, sample, error->value, error->limit);
  } else {
    error->limit = bag->max_length;
    trec_fail(error, TREC_INVALID_INPUT,
              "feature \"%s\", sample %" PRId64 ": %" PRId64 " ids, but weights for %" PRId64 " positions",
              feature.text, sample, error->value, error->limit);
  }
  return trec_fail_batch(image, bag->batch, error);
}

int32_t trec_check_lengths(const struct trec_job *job, trec_error *error) {
  for (int64_t i = 0; i < job->model->image->num_bags; ++i) {
    const struct trec_bag *bag = &job->model->bags[i];
    int64_t sample = bag->length >= 0 ? find_length(job, i, bag->length, bag->length) : -1;
    if (sample >= 0)
      return fail_length(job, i, sample, error);
    sample = bag->max_length >= 0 ? find_length(job, i, 0, bag->max_length) : -1;
    if (sample >= 0)
      return fail_length(job, i, sample, error);
  }
  return TREC_OK;
}

int32_t trec_fail_batch(const struct trec_image *image, int64_t batch, trec_error *error) {
  if (image->num_batches == 1)
    return error->status;
  char message[sizeof error->message];
  memcpy(message, error->message, sizeof message);
  return trec_fail(error, error->status, "batch %" PRId64 ": %.*s", batch, (int)sizeof message - 32, message);
}

static void read_first_batch(const trec_forward_args *args, trec_batch *first) {
  first->num_keys = args->num_keys;
  first->slots = args->slots;
  first->values = args->values;
  first->num_values = args->num_values;
  first->lengths = args->lengths;
  first->offsets = args->offsets;
  first->weights = args->weights;
  first->num_weights = args->num_weights;
  first->values_type = args->values_type;
  first->lengths_type = args->lengths_type;
  first->offsets_type = args->offsets_type;
}

static int32_t read_batches(struct trec_job *job, trec_error *error) {
  const struct trec_image *image = job->model->image;
  const trec_forward_args *args = job->args;
  if (args->num_batches != image->num_batches - 1 || (args->num_batches && !args->batches))
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "%" PRId64 " batches beside the first given, but model \"%s\" takes %" PRId64,
                     args->batches ? args->num_batches : 0, trec_show(image->name).text, image->num_batches - 1);
  read_first_batch(args, &job->batches[0].args);
  for (int64_t i = 1; i < image->num_batches; ++i) {
    const size_t apart = args->batches->size;
    const trec_batch *given = (const trec_batch *)((const char *)args->batches + (size_t)(i - 1) * apart);
    if (given->size != apart || !trec_read_struct(&job->batches[i].args, sizeof job->batches[i].args, given))
      return trec_fail(error, TREC_INVALID_ARGUMENT, "batches[%" PRId64 "].size is %zu, expected sizeof(trec_batch)",
                       i - 1, given->size);
  }
  for (int64_t i = 0; i < image->num_batches; ++i) {
    struct trec_job_batch *batch = &job->batches[i];
    batch->index = i;
    batch->size = args->batch_size;
    batch->variant = batch->args.values_type == TREC_INT32 ? TREC_KERNEL_INT32 : TREC_KERNEL_INT64;
  }
  return TREC_OK;
}

/* All batches are well formed before a look at outputs and features, as where there is one. */
static int32_t check_form(const struct trec_job *job, trec_error *error) {
  for (int64_t i = 0; i < job->model->image->num_batches; ++i) {
    int32_t status = check_counts(&job->batches[i].args, error);
    if (status == TREC_OK)
      status = check_arrays(&job->batches[i].args, error);
    if (status != TREC_OK)
      return trec_fail_batch(job->model->image, i, error);
  }
  return TREC_OK;
}

static int32_t check_features(const struct trec_job *job, trec_error *error) {
  const struct trec_image *image = job->model->image;
  for (int64_t i = 0; i < image->num_batches; ++i) {
    int32_t status = check_slots(image, &job->batches[i], error);
    if (status == TREC_OK)
      status = check_weights(image, &job->batches[i], error);
    if (status != TREC_OK)
      return trec_fail_batch(image, i, error);
  }
  return TREC_OK;
}

int32_t trec_check_arguments(struct trec_job *job, trec_error *error) {
  int32_t status = check_count("batch_size", job->args->batch_size, error);
  if (status == TREC_OK)
    status = check_count("output_row_stride", job->args->output_row_stride, error);
  if (status == TREC_OK)
    status = read_batches(job, error);
  if (status == TREC_OK)
    status = check_form(job, error);
  if (status == TREC_OK)
    status = check_output(job->model, job->args, error);
  return status == TREC_OK ? check_features(job, error) : status;
}
