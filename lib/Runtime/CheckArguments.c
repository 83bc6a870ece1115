/* The checks of a forward that read no lengths, offsets or ids: pointers, counts, types, sizes. */
#include "Error.h"
#include "Model.h"

#include <inttypes.h>

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

static int32_t check_counts(const trec_forward_args *args, trec_error *error) {
  int32_t status = check_count("batch_size", args->batch_size, error);
  if (status == TREC_OK)
    status = check_count("num_keys", args->num_keys, error);
  if (status == TREC_OK)
    status = check_count("num_values", args->num_values, error);
  return status == TREC_OK ? check_count("output_row_stride", args->output_row_stride, error) : status;
}

static int32_t check_arrays(const trec_forward_args *args, trec_error *error) {
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
  const char *const name = model->image->name;
  if (!model->image->unpooled) {
    if (args->outputs || args->outputs_bytes)
      return trec_fail(error, TREC_INVALID_ARGUMENT, "outputs given, but model \"%s\" pools: expected output",
                       trec_show(name).text);
    return TREC_OK;
  }
  if (args->output || args->output_bytes || args->output_row_stride)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output given, but model \"%s\" does not pool: expected outputs",
                     trec_show(name).text);
  if (args->num_values && (!args->outputs || !args->outputs_bytes))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "%s is null, but model \"%s\" does not pool",
                     args->outputs ? "outputs_bytes" : "outputs", trec_show(name).text);
  return TREC_OK;
}

static int32_t check_output(const trec_model *model, const trec_forward_args *args, trec_error *error) {
  int32_t status = check_kind_of_output(model, args, error);
  if (status != TREC_OK || model->image->unpooled)
    return status;
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

static int32_t check_slots(const struct trec_image *image, const trec_forward_args *args, trec_error *error) {
  for (int64_t feature = 0; feature < image->num_features; ++feature) {
    const int64_t slot = trec_slot(args, feature);
    if (slot >= 0 && slot < args->num_keys)
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
                     name.text, args->num_keys, image->num_features);
  }
  return TREC_OK;
}

static int32_t check_weights(const struct trec_image *image, const trec_forward_args *args, trec_error *error) {
  if (!image->weighted && (args->weights || args->num_weights))
    return trec_fail(error, TREC_INVALID_INPUT, "weights given, but model \"%s\" is not weighted",
                     trec_show(image->name).text);
  if (!image->weighted)
    return TREC_OK;
  if (!args->weights && args->num_values)
    return trec_fail(error, TREC_INVALID_INPUT, "weights is null, but model \"%s\" is weighted",
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
  const struct trec_shown feature = trec_show(trec_feature_name(model->image, bag->feature));
  if (__builtin_mul_overflow(ids, bag->dim * model->element_bytes, &bytes))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output %" PRId64 " (feature \"%s\"): %" PRId64 " rows overflow", i,
                     feature.text, ids);
  if (!args->outputs[i])
    return trec_fail(error, TREC_INVALID_ARGUMENT, "output %" PRId64 " (feature \"%s\") is null", i, feature.text);
  if (args->outputs_bytes[i] < (uint64_t)bytes)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "output %" PRId64 " (feature \"%s\") has %" PRIu64 " bytes, expected at least %" PRId64
                     " for %" PRId64 " ids",
                     i, feature.text, args->outputs_bytes[i], bytes, ids);
  error->feature = -1;
  return TREC_OK;
}

int32_t trec_check_outputs(const trec_model *model, const trec_forward_args *args, const int64_t *offsets,
                           trec_error *error) {
  for (int64_t i = 0; i < model->image->num_bags; ++i) {
    const int64_t *begin = offsets + trec_slot(args, model->bags[i].feature) * args->batch_size;
    const int64_t ids = begin[args->batch_size] - begin[0];
    const int32_t status = ids ? check_output_of(model, args, i, ids, error) : TREC_OK;
    if (status != TREC_OK)
      return status;
  }
  return TREC_OK;
}

int32_t trec_check_lengths(const trec_model *model, const trec_forward_args *args, const int64_t *offsets,
                           trec_error *error) {
  for (int64_t i = 0; i < model->image->num_bags; ++i) {
    const struct trec_bag *bag = &model->bags[i];
    const int64_t *begin = offsets + trec_slot(args, bag->feature) * args->batch_size;
    for (int64_t sample = 0; bag->max_length >= 0 && sample < args->batch_size; ++sample) {
      const int64_t length = begin[sample + 1] - begin[sample];
      if (length <= bag->max_length)
        continue;
      error->feature = bag->feature;
      error->sample = sample;
      error->value = length;
      error->limit = bag->max_length;
      return trec_fail(error, TREC_INVALID_INPUT,
                       "feature \"%s\", sample %" PRId64 ": %" PRId64 " ids, but weights for %" PRId64 " positions",
                       trec_show(trec_feature_name(model->image, bag->feature)).text, sample, length, bag->max_length);
    }
  }
  return TREC_OK;
}

int32_t trec_check_arguments(const trec_model *model, const trec_forward_args *args, trec_error *error) {
  int32_t status = check_counts(args, error);
  if (status == TREC_OK)
    status = check_arrays(args, error);
  if (status == TREC_OK)
    status = check_output(model, args, error);
  if (status == TREC_OK)
    status = check_slots(model->image, args, error);
  return status == TREC_OK ? check_weights(model->image, args, error) : status;
}
