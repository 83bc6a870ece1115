/* Making, asking and ending a model. */
#include "Create.h"
#include "CPUFeatures.h"
#include "Error.h"
#include "GPU.h"
#include "NearTables.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int32_t check_options(const trec_create_options *options, trec_error *error) {
  if (options->bounds_check < TREC_BOUNDS_AS_COMPILED || options->bounds_check > TREC_BOUNDS_NONE)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "bounds_check is %d, expected %d to %d", options->bounds_check,
                     TREC_BOUNDS_AS_COMPILED, TREC_BOUNDS_NONE);
  if (options->threads < 0)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "threads is %d, expected 0 or more", options->threads);
  if (options->pages < TREC_PAGES_MAP || options->pages > TREC_PAGES_AUTO)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "pages is %d, expected %d to %d", options->pages, TREC_PAGES_MAP,
                     TREC_PAGES_AUTO);
  if (options->pages == TREC_PAGES_HUGE && options->device == TREC_DEVICE_CUDA)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "pages is TREC_PAGES_HUGE on a GPU, which gets the tables itself");
  if (options->exactness < TREC_EXACTNESS_AUTO || options->exactness > TREC_EXACTNESS_OFF)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "exactness is %d, expected %d to %d", options->exactness,
                     TREC_EXACTNESS_AUTO, TREC_EXACTNESS_OFF);
  if (options->device != TREC_DEVICE_CPU && options->device != TREC_DEVICE_CUDA)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "device is %d, expected TREC_DEVICE_CPU (%d) or TREC_DEVICE_CUDA (%d)", options->device,
                     TREC_DEVICE_CPU, TREC_DEVICE_CUDA);
  if (options->tables_location == TREC_DEVICE_CPU)
    return TREC_OK;
  if (options->tables_location != TREC_DEVICE_CUDA || options->device != TREC_DEVICE_CUDA || !options->tables)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "tables_location is %d, expected TREC_DEVICE_CPU (%d), or, with tables and on a GPU, "
                     "TREC_DEVICE_CUDA (%d)",
                     options->tables_location, TREC_DEVICE_CPU, TREC_DEVICE_CUDA);
  return TREC_OK;
}

/* An array of at least one element, so that NULL always means that memory has run out. */
static void *allocate(int64_t count, size_t bytes) { return calloc((size_t)count + 1, bytes); }

static trec_model *allocate_model(const struct trec_image *image, trec_error *error) {
  trec_model *model = allocate(1, sizeof *model);
  if (model) {
    model->image = image;
    model->tables = allocate(image->num_tables, sizeof *model->tables);
    model->parameters = allocate(image->num_parameters, sizeof *model->parameters);
    model->bags = allocate(image->num_bags, sizeof *model->bags);
    if (model->tables && model->parameters && model->bags)
      return model;
    free(model->tables);
    free(model->parameters);
    free(model->bags);
    free(model);
  }
  trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model of %" PRId64 " tables", image->num_tables);
  return NULL;
}

static int64_t output_element_bytes(const struct trec_image *image) {
  switch (image->output_type) {
  case TREC_FLOAT32:
    return 4;
  case TREC_UINT8:
    return 1;
  default:
    return 2;
  }
}

static void apply_options(trec_model *model, const trec_create_options *options) {
  model->bounds_check = options->bounds_check ? options->bounds_check : (int32_t)model->image->bounds_check;
  model->threads = options->threads ? options->threads : 1;
  model->parallel_for = options->parallel_for;
  model->parallel_for_user = options->parallel_for_user;
  model->warning = options->warning;
  model->warning_user = options->warning_user;
  model->pages_reason = "no file: the weights are used where they lie";
  model->element_bytes = output_element_bytes(model->image);
}

/* What the kernels of a bag get to know of its map. An empty hash table has an empty slot, where searches end. */
static void prepare_map(const trec_model *model, int64_t parameter, struct trec_bag *bag) {
  const struct trec_parameter_desc *desc = &model->image->parameters[parameter];
  const struct trec_parameter *map = &model->parameters[parameter];
  const int64_t entries = map->count || desc->map != TREC_MAP_HASH_TABLE ? map->count : 1;
  bag->args.remap = map->data;
  bag->args.num_remap = entries * trec_entry_elements(desc);
  bag->args.num_ids = desc->map == TREC_MAP_HASH_TABLE ? desc->ids : map->count;
}

/* Tables that the second level of the cache holds are not fetched ahead. */
enum { SECOND_LEVEL_BYTES = 1 << 19 };

/* Rows begin at multiples of what divides both their length and a line, for tables begin at a line. */
static int may_straddle(int64_t row_bytes) {
  enum { CACHE_LINE = 64 };
  const int64_t step = row_bytes & -row_bytes;
  return step < CACHE_LINE && (row_bytes - 1) % CACHE_LINE >= step;
}

static int64_t count_table_bytes(const trec_model *model) {
  int64_t all = 0, bytes;
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    if (__builtin_mul_overflow(model->tables[i].num_rows, model->image->tables[i].row_bytes, &bytes) ||
        __builtin_add_overflow(all, bytes, &all))
      return INT64_MAX;
  return all;
}

void trec_prepare_fetches(trec_model *model, const struct trec_cpu *cpu) {
  const struct trec_image *image = model->image;
  const int64_t bytes = count_table_bytes(model);
  model->fetches_ahead = bytes > SECOND_LEVEL_BYTES;
  model->short_bag = trec_short_bag(cpu);
  model->output_limits = trec_output_limits_of(cpu);
  for (int64_t i = 0; i < image->num_bags; ++i) {
    const int64_t table = image->bags[i].table;
    const struct trec_table_desc *desc = &image->tables[table];
    const int64_t rows = model->tables[table].num_rows;
    const int64_t fetches_far = trec_fetches_far(cpu, desc, rows, bytes);
    model->bags[i].args.fetches_far = fetches_far;
    model->bags[i].short_bag = trec_short_bag_of_many(cpu, desc, rows, fetches_far);
  }
}

static void prepare_bags(trec_model *model) {
  const struct trec_image *image = model->image;
  model->unpooled = image->unpooled != 0;
  for (int64_t i = 0; i < image->num_bags; ++i) {
    const struct trec_bag_desc *desc = &image->bags[i];
    struct trec_bag *bag = &model->bags[i];
    if (model->level)
      memcpy(bag->kernels, &model->level->kernels[desc->kernel * TREC_KERNEL_VARIANTS], sizeof bag->kernels);
    bag->args.rows = model->tables[desc->table].rows;
    bag->args.num_rows = model->tables[desc->table].num_rows;
    bag->feature = desc->feature;
    bag->batch = image->features[desc->feature].batch;
    bag->key = image->features[desc->feature].index;
    bag->output = desc->output;
    bag->counts_bad_ids = !desc->repeats;
    bag->column_bytes = image->unpooled ? 0 : desc->column * model->element_bytes;
    bag->args.weights = desc->weights ? model->parameters[desc->weights - 1].data : NULL;
    bag->max_length = desc->weights ? model->parameters[desc->weights - 1].count : -1;
    bag->length = desc->length - 1;
    model->checks_lengths |= bag->max_length >= 0 || bag->length >= 0;
    if (desc->remap)
      prepare_map(model, desc->remap - 1, bag);
    bag->dim = image->tables[desc->table].dim;
    bag->table = &model->tables[desc->table];
    bag->row_bytes = image->tables[desc->table].row_bytes;
    bag->output_bytes = bag->dim * model->element_bytes;
    model->output_bytes += bag->output_bytes;
    model->tables[desc->table].is_certifiable |= model->level && desc->certified;
    /* Rows behind a map would have to be searched for. */
    bag->fetched_bytes = desc->remap ? 0 : image->tables[desc->table].row_bytes;
    bag->fetches_end = may_straddle(image->tables[desc->table].row_bytes);
  }
  if (image->unpooled && image->num_bags)
    model->output_bytes /= image->num_bags;
}

/* A device or a CPU level is found before weights are touched, which may be many. */
static int32_t make_ready(trec_model *model, uint64_t features, const trec_create_options *options, trec_error *error) {
  if (options->device == TREC_DEVICE_CUDA)
    trec_gpu_open(model, options, error);
  else
    model->level = trec_choose_level(model->image, features, error);
  if (error->status == TREC_OK)
    trec_bind_weights(model, options, error);
  if (error->status != TREC_OK)
    return error->status;
  const struct trec_cpu cpu = trec_find_cpu();
  trec_prepare_fetches(model, &cpu);
  prepare_bags(model);
  if (model->gpu)
    return trec_gpu_upload(model, options, error);
  trec_certify_tables(model, options);
  return TREC_OK;
}

static int32_t create(const struct trec_image *image, uint64_t features, const trec_create_options *given,
                      trec_model **model, trec_error *error) {
  trec_create_options options;
  if (!model)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "model is null");
  *model = NULL;
  if (!given)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "options is null");
  if (!trec_read_struct(&options, sizeof options, given))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "options.size is %zu, expected sizeof(trec_create_options)",
                     given->size);
  int32_t status = check_options(&options, error);
  if (status == TREC_OK)
    status = trec_gpu_check_options(image, &options, error);
  if (status != TREC_OK)
    return status;
  trec_model *made = allocate_model(image, error);
  if (!made)
    return error->status;
  apply_options(made, &options);
  status = make_ready(made, features, &options, error);
  if (status == TREC_OK)
    *model = made;
  else
    trec_runtime_destroy(made);
  return status;
}

int32_t trec_create_from_image(const struct trec_image *image, uint64_t features, const trec_create_options *options,
                               trec_model **model, trec_error *error) {
  trec_error local;
  trec_error_reset(&local);
  int32_t status = create(image, features, options, model, &local);
  trec_error_give(error, &local);
  return status;
}

int32_t trec_runtime_create(const trec_create_options *options, trec_model **model, trec_error *error) {
  return trec_create_from_image(&trec_image, trec_cpu_features(), options, model, error);
}

void trec_runtime_destroy(trec_model *model) {
  if (!model)
    return;
  trec_pool_destroy(&model->pool);
  trec_gpu_close(model);
  trec_release_weights(model);
  free(model->tables);
  free(model->parameters);
  free(model->bags);
  free(model);
}

int32_t trec_runtime_counters(const trec_model *model, trec_counters *counters) {
  if (!model || !counters)
    return TREC_INVALID_ARGUMENT;
  const trec_counters now = {.forwards = atomic_load(&model->forwards),
                             .bad_ids = atomic_load(&model->bad_ids),
                             .failed = atomic_load(&model->failed)};
  return trec_give_struct(counters, sizeof now, &now) ? TREC_OK : TREC_INVALID_ARGUMENT;
}

int32_t trec_runtime_weights_info(const trec_model *model, trec_weights_info *info) {
  if (!model || !info)
    return TREC_INVALID_ARGUMENT;
  const trec_weights_info now = {
      .pages = model->pages, .data = model->mapping, .bytes = model->file_bytes, .reason = model->pages_reason};
  return trec_give_struct(info, sizeof now, &now) ? TREC_OK : TREC_INVALID_ARGUMENT;
}

const char *trec_runtime_cpu_level(const trec_model *model) {
  return model && model->level ? model->level->name : NULL;
}

int32_t trec_runtime_poll(trec_model *model, trec_error *error) {
  trec_error local;
  trec_error_reset(&local);
  if (!model)
    trec_fail(&local, TREC_INVALID_ARGUMENT, "model is null");
  else if (model->gpu)
    trec_gpu_poll(model, &local);
  trec_error_give(error, &local);
  return local.status;
}
