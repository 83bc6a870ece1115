/* Where each table, parameter and lookup of a model on a GPU is to be.
 *
 * What is on the device lies in one block, but for what the caller has put there himself. Under a budget tables go to
 * the host by a rule that depends on their sizes alone, so that all processes that load a model do the same.
 */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>

int32_t trec_gpu_check_options(const struct trec_image *image, const trec_create_options *options, trec_error *error) {
  const int64_t count = options->num_placements;
  if (options->device != TREC_DEVICE_CUDA &&
      (options->placements || options->device_bytes || options->l2_fetch_bytes || options->l2_persist_bytes))
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "placements, device_bytes, l2_fetch_bytes and l2_persist_bytes are for models on a GPU");
  const int32_t fetched = options->l2_fetch_bytes;
  if (fetched && fetched != 32 && fetched != 64 && fetched != 128)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "l2_fetch_bytes is %d, expected 32, 64 or 128, or 0", fetched);
  if (count != (options->placements ? image->num_tables : 0))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "num_placements is %" PRId64 ", expected %" PRId64, count,
                     options->placements ? image->num_tables : 0);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t place = options->placements[i];
    if (place >= TREC_PLACE_AUTO && place <= TREC_PLACE_HOST)
      continue;
    error->table = i;
    return trec_fail(error, TREC_INVALID_ARGUMENT, "table \"%s\": its placement is %d, expected %d to %d",
                     trec_show(trec_table_name(image, i)).text, place, TREC_PLACE_AUTO, TREC_PLACE_HOST);
  }
  return TREC_OK;
}

static size_t round_up(size_t bytes) {
  return (bytes + TREC_GPU_TABLE_ALIGNMENT - 1) / TREC_GPU_TABLE_ALIGNMENT * TREC_GPU_TABLE_ALIGNMENT;
}

static size_t reserve(struct trec_gpu_layout *layout, size_t bytes) {
  const size_t place = layout->bytes;
  layout->bytes += round_up(bytes);
  return place;
}

static int32_t misaligned(const char *what, const char *name, size_t alignment, trec_error *error) {
  return trec_fail(error, TREC_INVALID_ARGUMENT, "caller's %s: \"%s\" is not aligned to %zu bytes on the device", what,
                   trec_show(name).text, alignment);
}

/* Kernels count rows in 32 bits, and one number means none. */
static int32_t check_rows(const trec_model *model, int64_t table, trec_error *error) {
  if (model->tables[table].num_rows < UINT32_MAX)
    return TREC_OK;
  error->table = table;
  error->value = model->tables[table].num_rows;
  error->limit = UINT32_MAX;
  return trec_fail(error, TREC_INVALID_ARGUMENT, "table \"%s\" has %" PRId64 " rows, a GPU takes fewer than %" PRId64,
                   trec_show(trec_table_name(model->image, table)).text, error->value, error->limit);
}

/* A table that the caller has put on the device; its place is not ours to choose. */
static int32_t take_callers(const trec_model *model, const trec_create_options *options, int64_t i,
                            struct trec_gpu_layout *layout, trec_error *error) {
  const uintptr_t address = (uintptr_t)options->tables[i].data;
  const char *name = trec_table_name(model->image, i);
  error->table = i;
  if (options->placements && options->placements[i] != TREC_PLACE_AUTO)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "caller's tables: \"%s\" is on the device, its placement is %d, expected %d", trec_show(name).text,
                     options->placements[i], TREC_PLACE_AUTO);
  if (address % TREC_GPU_ROW_ALIGNMENT)
    return misaligned("tables", name, TREC_GPU_ROW_ALIGNMENT, error);
  error->table = -1;
  layout->tables[i] = address;
  model->gpu->places[i] = TREC_PLACE_CALLERS;
  return TREC_OK;
}

static int32_t place_parameters(const trec_model *model, const trec_create_options *options,
                                struct trec_gpu_layout *layout, trec_error *error) {
  const struct trec_image *image = model->image;
  for (int64_t i = 0; i < image->num_parameters; ++i) {
    const trec_table_data *given =
        trec_tables_on_device(options) && options->parameters[i].rows ? &options->parameters[i] : NULL;
    const size_t alignment = image->parameters[i].type == TREC_INT64 ? 8 : 4;
    layout->is_callers[i] = given != NULL;
    layout->parameters[i] = given ? (uintptr_t)given->data : reserve(layout, trec_parameter_bytes(model, i));
    if (given && (uintptr_t)given->data % alignment)
      return misaligned("parameters", trec_parameter_name(image, i), alignment, error);
  }
  return TREC_OK;
}

/* The largest of the tables whose place is this one, the last of equal ones; -1: there is none. */
static int64_t find_largest(const trec_model *model, int32_t place) {
  int64_t largest = -1;
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    if (model->gpu->places[i] == place &&
        (largest < 0 || trec_gpu_table_bytes(model, i) >= trec_gpu_table_bytes(model, largest)))
      largest = i;
  return largest;
}

int64_t trec_gpu_largest_table(const trec_model *model) { return find_largest(model, TREC_PLACE_DEVICE); }

/* What the block takes with all tables in it that are not to be elsewhere. */
static size_t count_bytes(const trec_model *model, const struct trec_gpu_layout *layout) {
  size_t bytes = layout->bytes;
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    if (model->gpu->places[i] == TREC_PLACE_AUTO || model->gpu->places[i] == TREC_PLACE_DEVICE)
      bytes += round_up(trec_gpu_table_bytes(model, i));
  return bytes;
}

/* Sends tables to the host until the rest keeps to the budget. */
static int32_t keep_to_budget(const trec_model *model, uint64_t budget, const struct trec_gpu_layout *layout,
                              trec_error *error) {
  size_t bytes = count_bytes(model, layout);
  while (budget && bytes > budget) {
    const int64_t largest = find_largest(model, TREC_PLACE_AUTO);
    if (largest < 0)
      return trec_fail(error, TREC_INVALID_ARGUMENT,
                       "device_bytes is %" PRIu64 ", expected at least %zu for what has to be on GPU %d: lookups, "
                       "parameters and tables that are not to go to the host",
                       budget, bytes, model->gpu->index);
    model->gpu->places[largest] = TREC_PLACE_HOST;
    bytes -= round_up(trec_gpu_table_bytes(model, largest));
  }
  return TREC_OK;
}

/* The smallest table comes first, for what a cache may be asked to keep is one window of addresses. */
static void lay_out_tables(const trec_model *model, struct trec_gpu_layout *layout) {
  int32_t *places = model->gpu->places;
  size_t end = count_bytes(model, layout);
  layout->bytes = end;
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    if (places[i] == TREC_PLACE_DEVICE)
      places[i] = TREC_PLACE_AUTO;
  for (int64_t i = find_largest(model, TREC_PLACE_AUTO); i >= 0; i = find_largest(model, TREC_PLACE_AUTO)) {
    places[i] = TREC_PLACE_DEVICE;
    layout->tables[i] = end -= round_up(trec_gpu_table_bytes(model, i));
  }
}

int32_t trec_gpu_place(const trec_model *model, const trec_create_options *options, struct trec_gpu_layout *layout,
                       trec_error *error) {
  int32_t *places = model->gpu->places;
  const int64_t count = model->image->num_tables;
  int32_t status = place_parameters(model, options, layout, error);
  layout->bags = reserve(layout, ((size_t)model->image->num_bags + 1) * sizeof(struct trec_gpu_bag));
  for (int64_t i = 0; i < count && status == TREC_OK; ++i) {
    places[i] = options->placements ? options->placements[i] : TREC_PLACE_AUTO;
    status = check_rows(model, i, error);
    if (status == TREC_OK && trec_tables_on_device(options) && options->tables[i].rows)
      status = take_callers(model, options, i, layout, error);
  }
  if (status == TREC_OK)
    status = keep_to_budget(model, options->device_bytes, layout, error);
  if (status == TREC_OK)
    lay_out_tables(model, layout);
  return status;
}

/* A CPU's tables lie in host memory; of no other size than in a file. */
static trec_table_info describe(const trec_model *model, int64_t table) {
  if (model->gpu)
    return (trec_table_info){.place = model->gpu->places[table],
                             .bytes = trec_gpu_table_bytes(model, table),
                             .persistent_bytes = model->gpu->persistent_bytes[table]};
  return (trec_table_info){.place = TREC_PLACE_HOST,
                           .bytes = (uint64_t)(model->tables[table].num_rows * model->image->tables[table].row_bytes)};
}

int32_t trec_runtime_table_info(const trec_model *model, int64_t table, trec_table_info *info) {
  if (!model || !info || table < 0 || table >= model->image->num_tables)
    return TREC_INVALID_ARGUMENT;
  const trec_table_info now = describe(model, table);
  return trec_give_struct(info, sizeof now, &now) ? TREC_OK : TREC_INVALID_ARGUMENT;
}
