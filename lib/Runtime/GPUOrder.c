/* The order of a model's lookups on a GPU: those lie together that one span can hold. */
#include "Error.h"
#include "GPU.h"

#include <stdlib.h>
#include <string.h>

/* A lookup, with what it is sorted by. */
enum {
  PIECE,
  BAGS_PER_BLOCK,
  BATCH = BAGS_PER_BLOCK + TREC_GPU_SCHEDULES,
  NUM_GROUP_KEYS,
  LENGTH = NUM_GROUP_KEYS,
  BAG
};
enum { NUM_KEYS = BAG + 1 };
struct place {
  int64_t keys[NUM_KEYS];
};

static int compare_keys(const struct place *a, const struct place *b, int count) {
  for (int i = 0; i < count; ++i)
    if (a->keys[i] != b->keys[i])
      return a->keys[i] < b->keys[i] ? -1 : 1;
  return 0;
}

static int compare(const void *left, const void *right) { return compare_keys(left, right, NUM_KEYS); }

static int64_t output_of(const struct trec_image *image, int64_t bag) {
  return image->unpooled ? bag : image->num_outputs ? image->bags[bag].output : 0;
}

/* Blocks with few samples each are the slow ones: they come first, so that the device does not end with them, and of
 * equal ones those whose bags are long, or may be. */
static struct place place_of(const trec_model *model, int64_t bag) {
  const struct trec_image *image = model->image;
  const struct trec_gpu_kernel_desc *kernel = &image->gpu->kernels[image->bags[bag].kernel];
  const int64_t length = model->bags[bag].length;
  struct place place = {0};
  place.keys[PIECE] = output_of(image, bag) / TREC_GPU_MAX_OUTPUTS;
  place.keys[BAGS_PER_BLOCK + TREC_GPU_MANY_BAGS] = kernel->bags_per_block;
  place.keys[BAGS_PER_BLOCK + TREC_GPU_FEW_BAGS] = kernel->few_bags_per_block;
  place.keys[BAGS_PER_BLOCK + TREC_GPU_SHARED_BAGS] = kernel->shared_bags_per_block;
  place.keys[BATCH] = model->bags[bag].batch;
  place.keys[LENGTH] = length < 0 ? INT64_MIN : -length;
  place.keys[BAG] = bag;
  return place;
}

static void make_groups(struct trec_gpu *gpu, const struct place *places, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const struct place *at = &places[i];
    gpu->order[i] = at->keys[BAG];
    if (!i || compare_keys(at, &places[i - 1], NUM_GROUP_KEYS)) {
      struct trec_gpu_group *group = &gpu->groups[gpu->num_groups++];
      *group = (struct trec_gpu_group){.first_bag = i, .batch = at->keys[BATCH], .piece = at->keys[PIECE]};
      memcpy(group->bags_per_block, &at->keys[BAGS_PER_BLOCK], sizeof group->bags_per_block);
    }
    ++gpu->groups[gpu->num_groups - 1].num_bags;
  }
}

int32_t trec_gpu_order(trec_model *model, trec_error *error) {
  const int64_t count = model->image->num_bags;
  struct trec_gpu *gpu = model->gpu;
  struct place *places = calloc((size_t)count + 1, sizeof *places);
  gpu->order = calloc((size_t)count + 1, sizeof *gpu->order);
  gpu->groups = calloc((size_t)count + 1, sizeof *gpu->groups);
  if (places && gpu->order && gpu->groups) {
    gpu->longest_promised = -1;
    for (int64_t i = 0; i < count; ++i) {
      places[i] = place_of(model, i);
      if (model->bags[i].length > gpu->longest_promised)
        gpu->longest_promised = model->bags[i].length;
    }
    qsort(places, (size_t)count, sizeof *places, compare);
    make_groups(gpu, places, count);
  } else {
    trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  }
  free(places);
  return error->status;
}
