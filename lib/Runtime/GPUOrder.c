/* The order of a model's lookups on a GPU: those lie together that one span can hold. */
#include "Error.h"
#include "GPU.h"

#include <stdlib.h>

/* A lookup, with what it is sorted by. */
struct place {
  int64_t piece, bags_per_block, few_bags_per_block, batch, length, bag;
};

static int compare(const void *left, const void *right) {
  const struct place *a = left, *b = right;
  const int64_t order[] = {a->piece - b->piece,
                           a->bags_per_block - b->bags_per_block,
                           a->few_bags_per_block - b->few_bags_per_block,
                           a->batch - b->batch,
                           b->length - a->length,
                           a->bag - b->bag};
  for (int i = 0; i < 6; ++i)
    if (order[i])
      return order[i] < 0 ? -1 : 1;
  return 0;
}

static int64_t output_of(const struct trec_image *image, int64_t bag) {
  return image->unpooled ? bag : image->num_outputs ? image->bags[bag].output : 0;
}

/* Blocks with few samples each are the slow ones: they come first, so that the device does not end with them, and of
 * equal ones those whose bags are long, or may be. */
static void sort(const trec_model *model, struct place *places) {
  const struct trec_image *image = model->image;
  for (int64_t i = 0; i < image->num_bags; ++i) {
    const struct trec_gpu_kernel_desc *kernel = &image->gpu->kernels[image->bags[i].kernel];
    places[i] = (struct place){output_of(image, i) / TREC_GPU_MAX_OUTPUTS,
                               kernel->bags_per_block,
                               kernel->few_bags_per_block,
                               model->bags[i].batch,
                               model->bags[i].length < 0 ? INT64_MAX : model->bags[i].length,
                               i};
  }
  qsort(places, (size_t)image->num_bags, sizeof *places, compare);
}

static void make_groups(struct trec_gpu *gpu, const struct place *places, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const struct place *at = &places[i], *before = i ? &places[i - 1] : NULL;
    gpu->order[i] = at->bag;
    if (!before || before->piece != at->piece || before->bags_per_block != at->bags_per_block ||
        before->few_bags_per_block != at->few_bags_per_block || before->batch != at->batch)
      gpu->groups[gpu->num_groups++] =
          (struct trec_gpu_group){i, 0, at->bags_per_block, at->few_bags_per_block, at->batch, at->piece};
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
    sort(model, places);
    make_groups(gpu, places, count);
  } else {
    trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  }
  free(places);
  return error->status;
}
