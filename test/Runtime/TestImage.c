/* See TestImage.h. */
#include "TestImage.h"

#include <string.h>

/* Pools one bag; `id` reads the id at a position, which is all that differs between the types of ids. */
static void pool_bag(const struct trec_bag_args *args, int64_t bag, int64_t dim,
                     int64_t (*id)(const void *indices, int64_t position)) {
  float *out = (float *)args->output + bag * args->output_stride;
  for (int64_t d = 0; d < dim; ++d)
    out[d] = 0;
  for (int64_t i = args->offsets[bag]; i < args->offsets[bag + 1]; ++i) {
    int64_t row = id(args->indices, i);
    if (row == -1)
      continue;
    if (row < 0 || row >= args->num_rows) {
      ++args->report[0];
      if (i < args->report[1])
        args->report[1] = i;
      row = 0;
    }
    float values[T1_DIM]; /* rows in the caller's memory may lie at any address */
    memcpy(values, (const char *)args->rows + row * dim * 4, dim * 4);
    for (int64_t d = 0; d < dim; ++d)
      out[d] = __builtin_fmaf(args->weights ? args->weights[i] : 1, values[d], out[d]);
  }
}

static int64_t id32(const void *indices, int64_t position) { return ((const int32_t *)indices)[position]; }
static int64_t id64(const void *indices, int64_t position) { return ((const int64_t *)indices)[position]; }

#define KERNEL(name, dim, id)                                                                                          \
  static void name(const struct trec_bag_args *args, int64_t begin, int64_t end) {                                     \
    for (int64_t bag = begin; bag < end; ++bag)                                                                        \
      pool_bag(args, bag, dim, id);                                                                                    \
  }
KERNEL(kernel_4_int32, T1_DIM, id32)
KERNEL(kernel_4_int64, T1_DIM, id64)
KERNEL(kernel_2_int32, T2_DIM, id32)
KERNEL(kernel_2_int64, T2_DIM, id64)

static const trec_kernel kernels[] = {kernel_4_int32, kernel_4_int64, kernel_2_int32, kernel_2_int64};
static const struct trec_feature_desc features[] = {{0, 0, 0}, {3, 0, 1}, {6, 0, 2}};
static const struct trec_table_desc tables[] = {{9, T1_ROWS, T1_DIM * 4, T1_DIM, TREC_WEIGHTS_FP32},
                                                {12, T2_ROWS, T2_DIM * 4, T2_DIM, TREC_WEIGHTS_FP32}};
static const struct trec_bag_desc bags[] = {{0, 0, 0, 0}, {1, 1, 1, 4}, {0, 0, 2, 6}, {1, 1, 0, 10}};
static const struct trec_level_desc levels[] = {{"x86-64", 0, kernels}};
static const char metadata[] = "{\"name\": \"test\"}";

const struct trec_image trec_image = {
    .name = "test",
    .strings = "f1\0f2\0f3\0t1\0t2",
    .features = features,
    .num_features = NUM_FEATURES,
    .tables = tables,
    .num_tables = 2,
    .bags = bags,
    .num_bags = NUM_BAGS,
    .num_kernels = 2,
    .levels = levels,
    .num_levels = 1,
    .total_dim = TOTAL_DIM,
    .output_type = TREC_FLOAT32,
    .bounds_check = TREC_BOUNDS_WARNING,
    .num_batches = 1,
    .metadata = metadata,
    .metadata_bytes = sizeof metadata - 1,
};

const trec_api trec_model_api = {
    .size = sizeof(trec_api),
    .abi_version = TREC_ABI_VERSION,
    .metadata = metadata,
    .metadata_bytes = sizeof metadata - 1,
    .create = trec_runtime_create,
    .destroy = trec_runtime_destroy,
    .workspace_size = trec_runtime_workspace_size,
    .forward = trec_runtime_forward,
    .counters = trec_runtime_counters,
    .cpu_level = trec_runtime_cpu_level,
    .poll = trec_runtime_poll,
    .weights_info = trec_runtime_weights_info,
    .check_exactness = trec_runtime_check_exactness,
    .certified_length = trec_runtime_certified_length,
    .table_info = trec_runtime_table_info,
};

__attribute__((visibility("default"))) const trec_api *test_model_query(uint32_t abi_version, trec_error *error) {
  return trec_runtime_query(abi_version, error);
}
