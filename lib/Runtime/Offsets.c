/* From the caller's lengths or offsets, of either integer type, to offsets in 64 bits that kernels may trust.
 *
 * Each form is one pass without branches that only learns whether all is well; where it is not, a second pass finds the
 * place, for errors may take their time.
 */
#include "Error.h"
#include "Model.h"

#include <inttypes.h>
#include <stdio.h>

static inline int64_t load(const void *array, int32_t type, int64_t i) {
  return type == TREC_INT32 ? ((const int32_t *)array)[i] : ((const int64_t *)array)[i];
}

/* Writes the sums; negative where a length was, or where a sum left 64 bits. Inlined once per type. */
static inline __attribute__((always_inline)) int64_t add_up(const void *lengths, int32_t type, int64_t count,
                                                            int64_t *offsets) {
  uint64_t sum = 0, bad = 0;
  offsets[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t length = (uint64_t)load(lengths, type, i);
    sum += length;
    bad |= length | sum;
    offsets[i + 1] = (int64_t)sum;
  }
  return (int64_t)bad;
}

/* 1 where no offset is negative or below the one before it, told by signs, so that none waits for the one before it to
 * be compared; copies to `out` unless that is NULL. Inlined once per type. */
static inline __attribute__((always_inline)) int rises(const void *offsets, int32_t type, int64_t count, int64_t *out) {
  const int64_t first = load(offsets, type, 0);
  uint64_t signs = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t from = (uint64_t)load(offsets, type, i), to = (uint64_t)load(offsets, type, i + 1);
    signs |= to | (to - from);
    if (out)
      out[i + 1] = (int64_t)to;
  }
  if (out)
    out[0] = first;
  return first == 0 && (int64_t)signs >= 0;
}

struct place {
  char text[sizeof(struct trec_shown) + 80];
};

/* Sets the error's feature and sample for bag i, and describes them. */
static struct place place_of(const struct trec_image *image, const struct trec_job_batch *batch, int64_t i,
                             trec_error *error) {
  const int64_t key = i / batch->size;
  struct place place;
  error->sample = i % batch->size;
  for (int64_t f = 0; f < image->num_features && error->feature < 0; ++f)
    if (image->features[f].batch == batch->index && trec_slot(batch, image->features[f].index) == key)
      error->feature = f;
  if (error->feature < 0)
    snprintf(place.text, sizeof place.text, "key %" PRId64 " (no feature of the model), sample %" PRId64, key,
             error->sample);
  else
    snprintf(place.text, sizeof place.text, "feature \"%s\", key %" PRId64 ", sample %" PRId64,
             trec_show(trec_feature_name(image, error->feature)).text, key, error->sample);
  return place;
}

static int32_t fail_lengths(const struct trec_image *image, const struct trec_job_batch *batch, int64_t count,
                            trec_error *error) {
  const trec_batch *args = &batch->args;
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t length = load(args->lengths, args->lengths_type, i);
    const int overflow = __builtin_add_overflow(sum, length, &sum);
    if (length >= 0 && !overflow)
      continue;
    error->value = length;
    return trec_fail(error, TREC_INVALID_INPUT, "%s: %s: length %" PRId64,
                     overflow ? "lengths sum to more than 64 bits hold" : "negative length",
                     place_of(image, batch, i, error).text, length);
  }
  error->value = sum;
  error->limit = args->num_values;
  return trec_fail(error, TREC_INVALID_INPUT, "lengths sum to %" PRId64 ", but there are %" PRId64 " values%s", sum,
                   args->num_values, sum < args->num_values ? ": surplus values" : "");
}

static int32_t fail_offsets(const struct trec_image *image, const struct trec_job_batch *batch, int64_t count,
                            trec_error *error) {
  const trec_batch *args = &batch->args;
  int64_t last = load(args->offsets, args->offsets_type, 0);
  error->value = last;
  if (last != 0) {
    error->limit = 0;
    return trec_fail(error, TREC_INVALID_INPUT, "offsets begin at %" PRId64 ", expected 0", last);
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = last;
    last = load(args->offsets, args->offsets_type, i + 1);
    if (last >= begin)
      continue;
    error->value = last;
    error->limit = begin;
    return trec_fail(error, TREC_INVALID_INPUT, "decreasing offsets: %s: from %" PRId64 " to %" PRId64,
                     place_of(image, batch, i, error).text, begin, last);
  }
  error->value = last;
  error->limit = args->num_values;
  return trec_fail(error, TREC_INVALID_INPUT, "offsets end at %" PRId64 ", but there are %" PRId64 " values%s", last,
                   args->num_values, last < args->num_values ? ": surplus values" : "");
}

static int32_t resolve_lengths(const struct trec_image *image, const struct trec_job_batch *batch, int64_t *offsets,
                               trec_error *error) {
  const trec_batch *args = &batch->args;
  const int64_t count = args->num_keys * batch->size;
  const int64_t bad = args->lengths_type == TREC_INT32 ? add_up(args->lengths, TREC_INT32, count, offsets)
                                                       : add_up(args->lengths, TREC_INT64, count, offsets);
  if (bad < 0 || offsets[count] != args->num_values)
    return fail_lengths(image, batch, count, error);
  return TREC_OK;
}

int32_t trec_resolve_offsets(const struct trec_image *image, struct trec_job_batch *batch, int64_t *workspace,
                             trec_error *error) {
  const trec_batch *args = &batch->args;
  const int64_t count = args->num_keys * batch->size;
  batch->offsets = workspace;
  if (args->lengths)
    return resolve_lengths(image, batch, workspace, error);
  int good;
  if (args->offsets_type == TREC_INT32) {
    good = rises(args->offsets, TREC_INT32, count, workspace);
  } else {
    good = rises(args->offsets, TREC_INT64, count, NULL);
    batch->offsets = args->offsets;
  }
  if (!good || batch->offsets[count] != args->num_values)
    return fail_offsets(image, batch, count, error);
  return TREC_OK;
}
