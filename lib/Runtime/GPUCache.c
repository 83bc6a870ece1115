/* What a model asks of a GPU's second level of cache. Limits are hints to the device that all of the process shares, so
 * that they are set only where the caller asks, and there is no time to take them back. */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>

static int32_t set_fetched(const struct trec_gpu *gpu, size_t bytes, trec_error *error) {
  const int result = bytes ? gpu->cuda.cuCtxSetLimit(TREC_CUDA_L2_FETCH_BYTES, bytes) : 0;
  return trec_cuda_check(&gpu->cuda, result, "set l2_fetch_bytes", error);
}

static int32_t get_attribute(const struct trec_gpu *gpu, int attribute, uint64_t *value, trec_error *error) {
  int given = 0;
  const int result = gpu->cuda.cuDeviceGetAttribute(&given, attribute, gpu->device);
  *value = given > 0 ? (uint64_t)given : 0;
  return trec_cuda_check(&gpu->cuda, result, "ask the device", error);
}

static int32_t check_persisting(const struct trec_gpu *gpu, uint64_t bytes, trec_error *error) {
  uint64_t most;
  const int32_t status = get_attribute(gpu, TREC_CUDA_MAX_PERSISTING, &most, error);
  if (status != TREC_OK || bytes <= most)
    return status;
  const struct trec_shown name = trec_show(gpu->name);
  if (!most)
    return trec_fail(error, TREC_UNSUPPORTED_GPU,
                     "l2_persist_bytes is %" PRIu64 ", but GPU %d (%s) sets no part of its cache aside", bytes,
                     gpu->index, name.text);
  return trec_fail(error, TREC_INVALID_ARGUMENT,
                   "l2_persist_bytes is %" PRIu64 ", expected at most %" PRIu64 ", which GPU %d (%s) sets aside", bytes,
                   most, gpu->index, name.text);
}

/* Another model of this process may have asked for more. */
static int32_t set_persisting(const struct trec_gpu *gpu, uint64_t bytes, trec_error *error) {
  size_t before = 0;
  if (!bytes)
    return TREC_OK;
  const int32_t status = check_persisting(gpu, bytes, error);
  if (status != TREC_OK)
    return status;
  int result = gpu->cuda.cuCtxGetLimit(&before, TREC_CUDA_L2_PERSIST_BYTES);
  if (!result && before < bytes)
    result = gpu->cuda.cuCtxSetLimit(TREC_CUDA_L2_PERSIST_BYTES, (size_t)bytes);
  return trec_cuda_check(&gpu->cuda, result, "set l2_persist_bytes", error);
}

int32_t trec_gpu_set_cache(const struct trec_gpu *gpu, const trec_create_options *options, trec_error *error) {
  const int32_t status = set_fetched(gpu, (size_t)options->l2_fetch_bytes, error);
  return status == TREC_OK ? set_persisting(gpu, options->l2_persist_bytes, error) : status;
}

static trec_device_address greater(trec_device_address a, trec_device_address b) { return a > b ? a : b; }
static trec_device_address smaller(trec_device_address a, trec_device_address b) { return a < b ? a : b; }

/* Bytes of a table at this address that are in a window. */
static uint64_t overlap(const struct trec_cuda_window *window, trec_device_address table, size_t bytes) {
  const trec_device_address begin = greater(window->begin, table);
  const trec_device_address end = smaller(window->begin + window->bytes, table + bytes);
  return begin < end ? end - begin : 0;
}

/* What share of a lookup's reads is in the window, summed over all lookups, were all rows read equally often. */
static double count_reads(const trec_model *model, const struct trec_gpu_layout *layout,
                          const struct trec_cuda_window *window) {
  double reads = 0;
  for (int64_t i = 0; i < model->image->num_bags; ++i) {
    const int64_t table = model->image->bags[i].table;
    const size_t bytes = trec_gpu_table_bytes(model, table);
    if (model->gpu->places[table] != TREC_PLACE_HOST)
      reads += (double)overlap(window, layout->tables[table], bytes) / (double)bytes;
  }
  return reads;
}

/* Ends the window with the last table in it, and notes what it has of each. */
static void trim(const trec_model *model, const struct trec_gpu_layout *layout) {
  struct trec_gpu *gpu = model->gpu;
  trec_device_address end = gpu->window.begin;
  for (int64_t i = 0; i < model->image->num_tables; ++i) {
    if (gpu->places[i] != TREC_PLACE_HOST)
      gpu->persistent_bytes[i] = overlap(&gpu->window, layout->tables[i], trec_gpu_table_bytes(model, i));
    if (gpu->persistent_bytes[i])
      end = greater(end, greater(gpu->window.begin, layout->tables[i]) + gpu->persistent_bytes[i]);
  }
  gpu->window.bytes = end - gpu->window.begin;
}

/* A launch has one window, so it is the one with the most reads of those that begin with a table. In the model's own
 * block the smallest tables come first and lie together; the caller's lie where he has put them. */
int32_t trec_gpu_choose_window(const trec_model *model, const trec_create_options *options,
                               const struct trec_gpu_layout *layout, trec_error *error) {
  struct trec_gpu *gpu = model->gpu;
  uint64_t most;
  double best = 0;
  if (!options->l2_persist_bytes)
    return TREC_OK;
  const int32_t status = get_attribute(gpu, TREC_CUDA_MAX_WINDOW, &most, error);
  for (int64_t i = 0; i < model->image->num_tables && status == TREC_OK; ++i) {
    const struct trec_cuda_window window = {.begin = layout->tables[i],
                                            .bytes = (size_t)smaller(options->l2_persist_bytes, most),
                                            .hit_ratio = 1,
                                            .hit = TREC_CUDA_PERSISTING};
    const double reads = gpu->places[i] == TREC_PLACE_HOST ? 0 : count_reads(model, layout, &window);
    if (reads <= best)
      continue;
    best = reads;
    gpu->window = window;
  }
  trim(model, layout);
  return status;
}
