/* Bringing a model's tables, parameters and lookups to the device.
 *
 * All of them lie in one block of device memory, but for those that the caller has put on the device himself. Rows go
 * through two buffers of pinned memory: while one is copied to the device, the next is filled from a file or from the
 * caller's memory, and rows are moved to their places on the way.
 */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STAGING_BYTES = 16 << 20 };

struct staging {
  const struct trec_gpu *gpu;
  char *buffers[2];
  void *copied[2]; /* events */
  int next;
};

/* Where everything is to be, and whether it is the caller's. */
struct layout {
  trec_device_address *tables, *parameters;
  char *is_callers; /* of tables, then of parameters */
  size_t bags, bytes;
};

static size_t reserve(struct layout *layout, size_t bytes) {
  const size_t place = layout->bytes;
  layout->bytes += (bytes + TREC_GPU_TABLE_ALIGNMENT - 1) / TREC_GPU_TABLE_ALIGNMENT * TREC_GPU_TABLE_ALIGNMENT;
  return place;
}

/* A table without rows has one of zeros. */
static int64_t rows_of(const trec_model *model, int64_t table) {
  return model->tables[table].num_rows ? model->tables[table].num_rows : 1;
}

static size_t table_bytes(const trec_model *model, int64_t i) {
  return (size_t)rows_of(model, i) * (size_t)trec_gpu_row_bytes(model->image->tables[i].row_bytes);
}

static int32_t misaligned(const char *what, const char *name, size_t alignment, trec_error *error) {
  return trec_fail(error, TREC_INVALID_ARGUMENT, "caller's %s: \"%s\" is not aligned to %zu bytes on the device", what,
                   trec_show(name).text, alignment);
}

/* Kernels count rows in 32 bits, and one number means none. */
static int32_t too_many_rows(const trec_model *model, int64_t table, trec_error *error) {
  error->table = table;
  error->value = model->tables[table].num_rows;
  error->limit = UINT32_MAX;
  return trec_fail(error, TREC_INVALID_ARGUMENT, "table \"%s\" has %" PRId64 " rows, a GPU takes fewer than %" PRId64,
                   trec_show(trec_table_name(model->image, table)).text, error->value, error->limit);
}

static int32_t place_tables(const trec_model *model, const trec_create_options *options, struct layout *layout,
                            trec_error *error) {
  const struct trec_image *image = model->image;
  for (int64_t i = 0; i < image->num_tables; ++i) {
    const trec_table_data *given =
        trec_tables_on_device(options) && options->tables[i].rows ? &options->tables[i] : NULL;
    if (model->tables[i].num_rows >= UINT32_MAX)
      return too_many_rows(model, i, error);
    layout->is_callers[i] = given != NULL;
    layout->tables[i] = given ? (uintptr_t)given->data : reserve(layout, table_bytes(model, i));
    if (given && (uintptr_t)given->data % TREC_GPU_ROW_ALIGNMENT) {
      error->table = i;
      return misaligned("tables", trec_table_name(image, i), TREC_GPU_ROW_ALIGNMENT, error);
    }
  }
  return TREC_OK;
}

static int32_t place_parameters(const trec_model *model, const trec_create_options *options, struct layout *layout,
                                trec_error *error) {
  const struct trec_image *image = model->image;
  for (int64_t i = 0; i < image->num_parameters; ++i) {
    const trec_table_data *given =
        trec_tables_on_device(options) && options->parameters[i].rows ? &options->parameters[i] : NULL;
    const size_t alignment = image->parameters[i].type == TREC_INT64 ? 8 : 4;
    layout->is_callers[image->num_tables + i] = given != NULL;
    layout->parameters[i] = given ? (uintptr_t)given->data : reserve(layout, trec_parameter_bytes(model, i));
    if (given && (uintptr_t)given->data % alignment)
      return misaligned("parameters", trec_parameter_name(image, i), alignment, error);
  }
  return TREC_OK;
}

static int32_t take_memory(struct trec_gpu *gpu, struct layout *layout, const trec_model *model, trec_error *error) {
  size_t unused = 0, total = 0;
  const int result = gpu->cuda.cuMemAlloc(&gpu->memory, layout->bytes);
  if (result == TREC_CUDA_OUT_OF_MEMORY && !gpu->cuda.cuMemGetInfo(&unused, &total))
    return trec_fail(error, TREC_OUT_OF_MEMORY,
                     "GPU %d (%s) is out of memory for %zu bytes of tables: %zu of its %zu bytes are free", gpu->index,
                     trec_show(gpu->name).text, layout->bytes, unused, total);
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    layout->tables[i] += layout->is_callers[i] ? 0 : gpu->memory;
  for (int64_t i = 0; i < model->image->num_parameters; ++i)
    layout->parameters[i] += layout->is_callers[model->image->num_tables + i] ? 0 : gpu->memory;
  gpu->bags = gpu->memory + layout->bags;
  return trec_cuda_check(&gpu->cuda, result, "take memory for tables", error);
}

static int open_staging(struct staging *staging, const struct trec_gpu *gpu) {
  int result = 0;
  staging->gpu = gpu;
  for (int i = 0; i < 2 && !result; ++i) {
    void *buffer = NULL;
    result = gpu->cuda.cuMemHostAlloc(&buffer, STAGING_BYTES, 0);
    staging->buffers[i] = buffer;
    if (!result)
      result = gpu->cuda.cuEventCreate(&staging->copied[i], TREC_CUDA_NO_TIMING);
  }
  return result;
}

static void close_staging(struct staging *staging) {
  const struct trec_cuda *cuda = &staging->gpu->cuda;
  cuda->cuStreamSynchronize(staging->gpu->stream);
  for (int i = 0; i < 2; ++i) {
    if (staging->copied[i])
      cuda->cuEventDestroy(staging->copied[i]);
    if (staging->buffers[i])
      cuda->cuMemFreeHost(staging->buffers[i]);
  }
}

/* Lines of `bytes` bytes each, that lie `stride` bytes apart on the device. */
struct lines {
  const char *from;
  int64_t count;
  size_t bytes, stride;
};

static int copy_lines(struct staging *staging, trec_device_address to, struct lines lines) {
  const struct trec_cuda *cuda = &staging->gpu->cuda;
  const int64_t at_once = STAGING_BYTES / (int64_t)lines.stride;
  for (int64_t begin = 0; begin < lines.count; begin += at_once) {
    const int64_t count = lines.count - begin < at_once ? lines.count - begin : at_once;
    char *buffer = staging->buffers[staging->next];
    int result = cuda->cuEventSynchronize(staging->copied[staging->next]);
    if (result)
      return result;
    if (lines.bytes == lines.stride)
      memcpy(buffer, lines.from + (size_t)begin * lines.bytes, (size_t)count * lines.bytes);
    else
      for (int64_t i = 0; i < count; ++i) {
        memcpy(buffer + (size_t)i * lines.stride, lines.from + (size_t)(begin + i) * lines.bytes, lines.bytes);
        memset(buffer + (size_t)i * lines.stride + lines.bytes, 0, lines.stride - lines.bytes);
      }
    result = cuda->cuMemcpyHtoDAsync(to + (size_t)begin * lines.stride, buffer, (size_t)count * lines.stride,
                                     staging->gpu->stream);
    if (!result)
      result = cuda->cuEventRecord(staging->copied[staging->next], staging->gpu->stream);
    if (result)
      return result;
    staging->next = !staging->next;
  }
  return 0;
}

static int copy_bytes(struct staging *staging, trec_device_address to, const void *from, size_t bytes) {
  const size_t whole = bytes / STAGING_BYTES, rest = bytes % STAGING_BYTES;
  int result = copy_lines(staging, to, (struct lines){from, (int64_t)whole, STAGING_BYTES, STAGING_BYTES});
  if (!result && rest)
    result = copy_lines(staging, to + whole * STAGING_BYTES,
                        (struct lines){(const char *)from + whole * STAGING_BYTES, 1, rest, rest});
  return result;
}

/* The bags as the device has them, in its order. */
static void describe_bags(const trec_model *model, const struct layout *layout, struct trec_gpu_bag *described) {
  const struct trec_image *image = model->image;
  for (int64_t place = 0; place < image->num_bags; ++place) {
    const int64_t i = model->gpu->order[place];
    const struct trec_bag_desc *desc = &image->bags[i];
    const struct trec_bag *bag = &model->bags[i];
    struct trec_gpu_bag *to = &described[place];
    to->rows = (const void *)(uintptr_t)layout->tables[desc->table];
    to->num_rows = bag->num_rows;
    to->kernel = desc->kernel;
    to->batch = bag->batch;
    to->key = bag->key;
    to->column = image->unpooled ? 0 : desc->column;
    to->output = image->unpooled ? i : bag->output;
    to->table = desc->table;
    to->weights = desc->weights ? (const float *)(uintptr_t)layout->parameters[desc->weights - 1] : NULL;
    to->max_length = bag->max_length;
    to->remap = desc->remap ? (const void *)(uintptr_t)layout->parameters[desc->remap - 1] : NULL;
    to->num_remap = bag->num_remap;
    to->num_ids = bag->num_ids;
    to->counts_bad_ids = bag->counts_bad_ids;
    to->row_stride = image->unpooled ? bag->dim : image->num_outputs ? image->outputs[bag->output].dim : 0;
  }
}

static int copy_all(const trec_model *model, const struct layout *layout, struct staging *staging) {
  const struct trec_image *image = model->image;
  int result = 0;
  for (int64_t i = 0; i < image->num_tables && !result; ++i) {
    const size_t bytes = (size_t)image->tables[i].row_bytes;
    const struct lines rows = {model->tables[i].rows, rows_of(model, i), bytes,
                               (size_t)trec_gpu_row_bytes((int64_t)bytes)};
    if (!layout->is_callers[i])
      result = copy_lines(staging, layout->tables[i], rows);
  }
  for (int64_t i = 0; i < image->num_parameters && !result; ++i)
    if (!layout->is_callers[image->num_tables + i])
      result = copy_bytes(staging, layout->parameters[i], model->parameters[i].data, trec_parameter_bytes(model, i));
  return result;
}

static int32_t copy_model(trec_model *model, struct layout *layout, struct trec_gpu_bag *bags, trec_error *error) {
  struct trec_gpu *gpu = model->gpu;
  struct staging staging = {0};
  int32_t status = take_memory(gpu, layout, model, error);
  if (status != TREC_OK)
    return status;
  describe_bags(model, layout, bags);
  int result = open_staging(&staging, gpu);
  if (!result)
    result = copy_all(model, layout, &staging);
  if (!result)
    result = copy_bytes(&staging, gpu->bags, bags, (size_t)model->image->num_bags * sizeof *bags);
  if (!result)
    result = gpu->cuda.cuStreamSynchronize(gpu->stream);
  close_staging(&staging);
  return trec_cuda_check(&gpu->cuda, result, "copy tables to the device", error);
}

static int32_t place_and_copy(trec_model *model, const trec_create_options *options, struct layout *layout,
                              trec_error *error) {
  const size_t bag_bytes = ((size_t)model->image->num_bags + 1) * sizeof(struct trec_gpu_bag);
  int32_t status = place_tables(model, options, layout, error);
  if (status == TREC_OK)
    status = place_parameters(model, options, layout, error);
  if (status != TREC_OK)
    return status;
  layout->bags = reserve(layout, bag_bytes);
  struct trec_gpu_bag *bags = calloc(1, bag_bytes);
  if (!bags)
    return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  status = copy_model(model, layout, bags, error);
  free(bags);
  return status;
}

int32_t trec_gpu_upload(trec_model *model, const trec_create_options *options, trec_error *error) {
  const size_t tables = (size_t)model->image->num_tables, parameters = (size_t)model->image->num_parameters;
  const struct trec_gpu_scope scope = trec_gpu_enter(model->gpu);
  struct layout layout = {.tables = calloc(tables + 1, sizeof *layout.tables),
                          .parameters = calloc(parameters + 1, sizeof *layout.parameters),
                          .is_callers = calloc(tables + parameters + 1, 1)};
  if (!layout.tables || !layout.parameters || !layout.is_callers)
    trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  else if (trec_gpu_order(model, error) == TREC_OK)
    place_and_copy(model, options, &layout, error);
  free(layout.tables);
  free(layout.parameters);
  free(layout.is_callers);
  trec_release_weights(model);
  trec_gpu_leave(model->gpu, scope);
  return error->status;
}
