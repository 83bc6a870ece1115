/* What the device has found wrong, from memory that it writes to while the host reads: see struct trec_gpu_report. */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static int64_t load(const int64_t *field) { return __atomic_load_n(field, __ATOMIC_SEQ_CST); }

/* The place as it was at one time; 0 where there is none, none new, or the device is at it: then it is for next time.
 */
static int read_place(const struct trec_gpu *gpu, struct trec_gpu_report *place) {
  const int64_t lock = load(&gpu->report->lock);
  if (lock % 2 || lock == gpu->taken)
    return 0;
  *place = *(const volatile struct trec_gpu_report *)gpu->report;
  atomic_thread_fence(memory_order_seq_cst);
  place->lock = lock;
  return load(&gpu->report->lock) == lock;
}

/* Takes the place, so that the device may write any other, and the number of bad ids that were not taken yet. */
static int take(struct trec_gpu *gpu, struct trec_gpu_report *place) {
  pthread_mutex_lock(&gpu->mutex);
  const int is_new = read_place(gpu, place);
  if (is_new) {
    gpu->taken = place->lock;
    __atomic_store_n(&gpu->report->epoch, gpu->report->epoch + 1, __ATOMIC_SEQ_CST);
    const int64_t count = load(&gpu->report->count);
    place->count = count - gpu->count;
    gpu->count = count;
  }
  pthread_mutex_unlock(&gpu->mutex);
  return is_new;
}

/* What the numbers of a place mean: the lookup's feature and table, or the key that a position in offsets is of. */
struct names {
  char text[2 * sizeof(struct trec_shown) + 64];
};

static struct names names_of(const trec_model *model, const struct trec_gpu_report *place, trec_error *error) {
  struct names names = {""};
  error->sample = place->sample;
  if (place->bag >= 0) {
    const struct trec_bag_desc *bag = &model->image->bags[model->gpu->order[place->bag]];
    error->feature = bag->feature;
    error->table = bag->table;
    snprintf(names.text, sizeof names.text, "feature \"%s\", ",
             trec_show(trec_feature_name(model->image, bag->feature)).text);
  }
  if (place->sample >= 0)
    snprintf(names.text + strlen(names.text), 32, "sample %" PRId64 ", ", place->sample);
  return names;
}

static int32_t fail_place(const trec_model *model, const struct trec_gpu_report *place, trec_error *error) {
  const struct names names = names_of(model, place, error);
  const int64_t value = error->value = place->value, position = place->position;
  switch (place->kind) {
  case TREC_GPU_BAD_LENGTH:
    trec_fail(error, TREC_INVALID_INPUT, "negative length: %slength %" PRId64 " at position %" PRId64, names.text,
              value, position);
    break;
  case TREC_GPU_BAD_SUM:
    trec_fail(error, TREC_INVALID_INPUT, "lengths sum to %" PRId64 ", expected the number of values", value);
    break;
  case TREC_GPU_BAD_OFFSET:
    trec_fail(error, TREC_INVALID_INPUT,
              "%soffset %" PRId64 " at position %" PRId64
              ", expected offsets that begin at 0, never decrease, and end at the number of values",
              names.text, value, position);
    break;
  case TREC_GPU_SMALL_OUTPUT:
    trec_fail(error, TREC_INVALID_INPUT, "%s%" PRId64 " ids, but its output has fewer rows", names.text, value);
    break;
  case TREC_GPU_OTHER_LENGTH:
    error->limit = model->bags[model->gpu->order[place->bag]].length;
    trec_fail(error, TREC_INVALID_INPUT, "%s%" PRId64 " ids, expected the fixed length of %" PRId64, names.text, value,
              error->limit);
    break;
  default:
    error->limit = model->bags[model->gpu->order[place->bag]].max_length;
    trec_fail(error, TREC_INVALID_INPUT, "%s%" PRId64 " ids, but weights for %" PRId64 " positions", names.text, value,
              error->limit);
  }
  return trec_fail_batch(model->image, place->batch, error);
}

/* All that the device tells is about calls that have returned before. */
static int32_t say_earlier(trec_error *error) {
  char message[sizeof error->message];
  memcpy(message, error->message, sizeof message);
  return trec_fail(error, error->status, "an earlier call: %.*s", (int)sizeof message - 32, message);
}

int32_t trec_gpu_poll(trec_model *model, trec_error *error) {
  struct trec_gpu_report place;
  if (!take(model->gpu, &place))
    return TREC_OK;
  atomic_fetch_add_explicit(&model->bad_ids, place.count, memory_order_relaxed);
  if (place.kind != TREC_GPU_BAD_ID) {
    fail_place(model, &place, error);
    return say_earlier(error);
  }
  if (model->bounds_check == TREC_BOUNDS_IGNORE)
    return TREC_OK;
  const struct trec_bad_id bad = {model->gpu->order[place.bag], place.sample, place.position - place.begin,
                                  place.value};
  trec_fail_bad_id(model, &bad, error);
  say_earlier(error);
  return trec_act_on_bad_ids(model, place.count, "earlier calls", error);
}
