/* Bringing a model's tables, parameters and lookups to where the device reads them.
 *
 * Rows go to the device through two buffers of pinned memory: while one is copied there, the next is filled from a file
 * or from the caller's memory, and rows are moved to their places on the way. Tables that stay on the host are written
 * to pinned memory of their own, as the device would have them.
 */
#include "Error.h"
#include "GPU.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long enough for the speed of the bus, short enough to tell how far the copy has come. */
enum { STAGING_BYTES = 16 << 20 };

/* Lines of `bytes` bytes each, that lie `stride` bytes apart for the device. */
struct lines {
  const char *from;
  int64_t count;
  size_t bytes, stride;
};

struct upload {
  const trec_model *model;
  const trec_create_options *options;
  struct trec_gpu_layout *layout;
  char *buffers[2];
  void *copied[2]; /* events */
  int next;
  uint64_t done, total; /* bytes of tables */
};

size_t trec_gpu_table_bytes(const trec_model *model, int64_t i) {
  const int64_t rows = model->tables[i].num_rows ? model->tables[i].num_rows : 1;
  return (size_t)rows * (size_t)trec_gpu_row_bytes(model->image->tables[i].row_bytes);
}

static int32_t out_of_memory(const trec_model *model, const struct trec_gpu_layout *layout, size_t unused, size_t total,
                             trec_error *error) {
  const struct trec_gpu *gpu = model->gpu;
  const int64_t largest = trec_gpu_largest_table(model);
  char hint[256] = "";
  if (largest >= 0)
    snprintf(hint, sizeof hint, "; the largest is \"%s\" with %zu: place it on the host, or say device_bytes",
             trec_show(trec_table_name(model->image, largest)).text, trec_gpu_table_bytes(model, largest));
  error->table = largest;
  return trec_fail(error, TREC_OUT_OF_MEMORY,
                   "GPU %d (%s) is out of memory for %zu bytes of tables: %zu of its %zu bytes are free%s", gpu->index,
                   trec_show(gpu->name).text, layout->bytes, unused, total, hint);
}

static int32_t take_memory(const trec_model *model, struct trec_gpu_layout *layout, trec_error *error) {
  struct trec_gpu *gpu = model->gpu;
  size_t unused = 0, total = 0;
  const int result = gpu->cuda.cuMemAlloc(&gpu->memory, layout->bytes);
  if (result == TREC_CUDA_OUT_OF_MEMORY && !gpu->cuda.cuMemGetInfo(&unused, &total))
    return out_of_memory(model, layout, unused, total, error);
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    layout->tables[i] += gpu->places[i] == TREC_PLACE_DEVICE ? gpu->memory : 0;
  for (int64_t i = 0; i < model->image->num_parameters; ++i)
    layout->parameters[i] += layout->is_callers[i] ? 0 : gpu->memory;
  gpu->bags = gpu->memory + layout->bags;
  return trec_cuda_check(&gpu->cuda, result, "take memory for tables", error);
}

static int32_t take_host_memory(const trec_model *model, struct trec_gpu_layout *layout, trec_error *error) {
  const struct trec_gpu *gpu = model->gpu;
  for (int64_t i = 0; i < model->image->num_tables; ++i) {
    if (gpu->places[i] != TREC_PLACE_HOST)
      continue;
    const size_t bytes = trec_gpu_table_bytes(model, i);
    const struct trec_shown name = trec_show(trec_table_name(model->image, i));
    char doing[sizeof name + 64];
    snprintf(doing, sizeof doing, "pin %zu bytes of host memory for table \"%s\"", bytes, name.text);
    int result = gpu->cuda.cuMemHostAlloc(&gpu->host_tables[i], bytes, TREC_CUDA_PORTABLE | TREC_CUDA_MAPPED);
    if (!result)
      result = gpu->cuda.cuMemHostGetDevicePointer(&layout->tables[i], gpu->host_tables[i], 0);
    if (result) {
      error->table = i;
      return trec_cuda_check(&gpu->cuda, result, doing, error);
    }
  }
  return TREC_OK;
}

static int open_staging(struct upload *upload) {
  const struct trec_cuda *cuda = &upload->model->gpu->cuda;
  int result = 0;
  for (int i = 0; i < 2 && !result; ++i) {
    void *buffer = NULL;
    result = cuda->cuMemHostAlloc(&buffer, STAGING_BYTES, 0);
    upload->buffers[i] = buffer;
    if (!result)
      result = cuda->cuEventCreate(&upload->copied[i], TREC_CUDA_NO_TIMING);
  }
  return result;
}

static void close_staging(struct upload *upload) {
  const struct trec_cuda *cuda = &upload->model->gpu->cuda;
  cuda->cuStreamSynchronize(upload->model->gpu->stream);
  for (int i = 0; i < 2; ++i) {
    if (upload->copied[i])
      cuda->cuEventDestroy(upload->copied[i]);
    if (upload->buffers[i])
      cuda->cuMemFreeHost(upload->buffers[i]);
  }
}

static void tell(const struct upload *upload) {
  if (upload->options->progress && upload->total)
    upload->options->progress(upload->options->progress_user, upload->done, upload->total);
}

static struct lines skip(struct lines lines, int64_t count) {
  return (struct lines){lines.from + (size_t)count * lines.bytes, lines.count - count, lines.bytes, lines.stride};
}

static int64_t at_once(struct lines lines) {
  const int64_t most = STAGING_BYTES / (int64_t)lines.stride;
  return lines.count < most ? lines.count : most;
}

/* Writes the first lines as the device has them. */
static void write_lines(char *to, struct lines lines, int64_t count) {
  if (lines.bytes == lines.stride) {
    memcpy(to, lines.from, (size_t)count * lines.bytes);
    return;
  }
  for (int64_t i = 0; i < count; ++i, to += lines.stride) {
    memcpy(to, lines.from + (size_t)i * lines.bytes, lines.bytes);
    memset(to + lines.bytes, 0, lines.stride - lines.bytes);
  }
}

/* Sends the first lines to the device through the buffer whose turn it is. */
static int send_lines(struct upload *upload, trec_device_address to, struct lines lines, int64_t count) {
  const struct trec_gpu *gpu = upload->model->gpu;
  const int turn = upload->next;
  int result = gpu->cuda.cuEventSynchronize(upload->copied[turn]);
  if (result)
    return result;
  write_lines(upload->buffers[turn], lines, count);
  result = gpu->cuda.cuMemcpyHtoDAsync(to, upload->buffers[turn], (size_t)count * lines.stride, gpu->stream);
  upload->next = !turn;
  return result ? result : gpu->cuda.cuEventRecord(upload->copied[turn], gpu->stream);
}

static int copy_bytes(struct upload *upload, trec_device_address to, const void *from, size_t bytes) {
  struct lines whole = {from, (int64_t)(bytes / STAGING_BYTES), STAGING_BYTES, STAGING_BYTES};
  const size_t rest = bytes % STAGING_BYTES;
  int result = 0;
  for (; whole.count && !result; whole = skip(whole, 1), to += STAGING_BYTES)
    result = send_lines(upload, to, whole, 1);
  return result || !rest ? result : send_lines(upload, to, (struct lines){whole.from, 1, rest, rest}, 1);
}

/* A table without rows has one of zeros. */
static int copy_table(struct upload *upload, int64_t i) {
  const trec_model *model = upload->model;
  const size_t bytes = (size_t)model->image->tables[i].row_bytes;
  const int64_t rows = model->tables[i].num_rows ? model->tables[i].num_rows : 1;
  struct lines lines = {model->tables[i].rows, rows, bytes, (size_t)trec_gpu_row_bytes((int64_t)bytes)};
  char *on_host = model->gpu->host_tables[i];
  trec_device_address to = upload->layout->tables[i];
  int result = 0;
  for (int64_t count; lines.count && !result; lines = skip(lines, count)) {
    count = at_once(lines);
    if (on_host)
      write_lines(on_host, lines, count);
    else
      result = send_lines(upload, to, lines, count);
    const size_t written = (size_t)count * lines.stride;
    on_host += on_host ? written : 0;
    to += written;
    upload->done += written;
    tell(upload);
  }
  return result;
}

/* Of each feature how many ids a sample has in those in front of it in its batch, where all of them are promised; else
 * -1. */
static void count_ids_before(const trec_model *model, int64_t *before) {
  const struct trec_image *image = model->image;
  int64_t sum = 0;
  for (int64_t i = 0; i < image->num_features; ++i)
    before[i] = -1;
  for (int64_t i = 0; i < image->num_bags; ++i)
    before[model->bags[i].feature] = model->bags[i].length;
  for (int64_t i = 0; i < image->num_features; ++i) {
    const int64_t length = before[i];
    before[i] = sum = i && image->features[i].batch == image->features[i - 1].batch ? sum : 0;
    sum = sum < 0 || length < 0 || sum + length > INT32_MAX ? -1 : sum + length;
  }
}

/* The bags as the device has them, in its order. */
static void describe_bags(const trec_model *model, const struct trec_gpu_layout *layout, const int64_t *ids_before,
                          struct trec_gpu_bag *described) {
  const struct trec_image *image = model->image;
  for (int64_t place = 0; place < image->num_bags; ++place) {
    const int64_t i = model->gpu->order[place];
    const struct trec_bag_desc *desc = &image->bags[i];
    const struct trec_bag *bag = &model->bags[i];
    struct trec_gpu_bag *to = &described[place];
    to->rows = (const void *)(uintptr_t)layout->tables[desc->table];
    to->num_rows = bag->args.num_rows;
    to->kernel = desc->kernel;
    to->batch = bag->batch;
    to->key = bag->key;
    to->column = image->unpooled ? 0 : desc->column;
    to->output = image->unpooled ? i : bag->output;
    to->table = desc->table;
    to->weights = desc->weights ? (const float *)(uintptr_t)layout->parameters[desc->weights - 1] : NULL;
    to->max_length = bag->max_length;
    to->remap = desc->remap ? (const void *)(uintptr_t)layout->parameters[desc->remap - 1] : NULL;
    to->num_remap = bag->args.num_remap;
    to->num_ids = bag->args.num_ids;
    to->counts_bad_ids = bag->counts_bad_ids;
    to->row_stride = image->unpooled ? bag->dim : 0;
    to->length = bag->length;
    to->ids_before = ids_before[bag->feature];
  }
}

static int copy_all(struct upload *upload) {
  const trec_model *model = upload->model;
  const struct trec_image *image = model->image;
  const struct trec_gpu_layout *layout = upload->layout;
  int result = 0;
  tell(upload);
  for (int64_t i = 0; i < image->num_tables && !result; ++i)
    if (model->gpu->places[i] != TREC_PLACE_CALLERS)
      result = copy_table(upload, i);
  for (int64_t i = 0; i < image->num_parameters && !result; ++i)
    if (!layout->is_callers[i])
      result = copy_bytes(upload, layout->parameters[i], model->parameters[i].data, trec_parameter_bytes(model, i));
  return result;
}

static int32_t copy_model(struct upload *upload, const struct trec_gpu_bag *bags, trec_error *error) {
  const trec_model *model = upload->model;
  const struct trec_gpu *gpu = model->gpu;
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    upload->total += gpu->places[i] == TREC_PLACE_CALLERS ? 0 : trec_gpu_table_bytes(model, i);
  int result = open_staging(upload);
  if (!result)
    result = copy_all(upload);
  if (!result)
    result = copy_bytes(upload, gpu->bags, bags, (size_t)model->image->num_bags * sizeof *bags);
  if (!result)
    result = gpu->cuda.cuStreamSynchronize(gpu->stream);
  close_staging(upload);
  return trec_cuda_check(&gpu->cuda, result, "copy tables to the device", error);
}

static int32_t place_and_copy(struct upload *upload, trec_error *error) {
  const trec_model *model = upload->model;
  int32_t status = trec_gpu_place(model, upload->options, upload->layout, error);
  if (status == TREC_OK)
    status = take_memory(model, upload->layout, error);
  if (status == TREC_OK)
    status = take_host_memory(model, upload->layout, error);
  if (status == TREC_OK)
    status = trec_gpu_choose_window(model, upload->options, upload->layout, error);
  if (status != TREC_OK)
    return status;
  struct trec_gpu_bag *bags = calloc((size_t)model->image->num_bags + 1, sizeof *bags);
  int64_t *ids_before = calloc((size_t)model->image->num_features + 1, sizeof *ids_before);
  if (bags && ids_before) {
    count_ids_before(model, ids_before);
    describe_bags(model, upload->layout, ids_before, bags);
    status = copy_model(upload, bags, error);
  } else {
    status = trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  }
  free(bags);
  free(ids_before);
  return status;
}

int32_t trec_gpu_upload(trec_model *model, const trec_create_options *options, trec_error *error) {
  const size_t tables = (size_t)model->image->num_tables + 1, parameters = (size_t)model->image->num_parameters + 1;
  struct trec_gpu *gpu = model->gpu;
  const struct trec_gpu_scope scope = trec_gpu_enter(gpu);
  struct trec_gpu_layout layout = {.tables = calloc(tables, sizeof *layout.tables),
                                   .parameters = calloc(parameters, sizeof *layout.parameters),
                                   .is_callers = calloc(parameters, 1)};
  struct upload upload = {.model = model, .options = options, .layout = &layout};
  gpu->places = calloc(tables, sizeof *gpu->places);
  gpu->host_tables = calloc(tables, sizeof *gpu->host_tables);
  gpu->persistent_bytes = calloc(tables, sizeof *gpu->persistent_bytes);
  const int has_arrays = gpu->places && gpu->host_tables && gpu->persistent_bytes;
  if (!layout.tables || !layout.parameters || !layout.is_callers || !has_arrays)
    trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  else if (trec_gpu_order(model, error) == TREC_OK)
    place_and_copy(&upload, error);
  free(layout.tables);
  free(layout.parameters);
  free(layout.is_callers);
  trec_release_weights(model);
  trec_gpu_leave(gpu, scope);
  return error->status;
}
