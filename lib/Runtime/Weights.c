/* Binding a model's tables to bytes: a file, a file in memory, embedded bytes, or the caller's own rows.
 *
 * Nothing is copied here but for tables that a file holds at a bad alignment: the caller's memory is used where it
 * lies, so that edits in place are seen.
 */
#include "Error.h"
#include "GPU.h"
#include "Safetensors.h"
#include "WeightsFile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FILE_ALIGNMENT = 16, COPY_ALIGNMENT = 64 };

/* Row 0 stands in for bad ids, so a table without rows gets one of zeros. */
static int32_t bind_table(trec_model *model, int64_t i, const trec_table_data *data, trec_error *error) {
  struct trec_table *table = &model->tables[i];
  table->num_rows = data->rows;
  table->rows = data->data;
  if (data->rows > 0)
    return TREC_OK;
  table->rows = table->owned = calloc(1, (size_t)(data->row_bytes ? data->row_bytes : 1));
  return table->rows ? TREC_OK : trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a row of zeros");
}

/* Notes which table and which number of it is wrong, and returns the table's name. */
static struct trec_shown blame(const struct trec_image *image, int64_t table, int64_t value, trec_error *error) {
  error->table = table;
  error->value = value;
  return trec_show(trec_table_name(image, table));
}

static int32_t wrong_rows(const struct trec_image *image, int64_t i, int64_t rows, const char *origin,
                          trec_error *error) {
  const struct trec_shown name = blame(image, i, rows, error);
  error->limit = image->tables[i].rows;
  if (error->limit < 0)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: table \"%s\" has %" PRId64 " rows, expected 0 or more", origin,
                     name.text, rows);
  return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: table \"%s\" has %" PRId64 " rows, expected %" PRId64, origin,
                   name.text, rows, error->limit);
}

/* Where tables are found. */
struct source {
  const char *origin; /* for messages */
  int is_on_device;
};

/* Holds a table that was found against the model's. */
static int32_t check_table(const struct trec_image *image, int64_t i, const trec_table_data *data,
                           const struct source *source, trec_error *error) {
  const struct trec_table_desc *desc = &image->tables[i];
  const int64_t row_bytes = source->is_on_device ? trec_gpu_row_bytes(desc->row_bytes) : desc->row_bytes;
  const char *origin = source->origin;
  int64_t bytes;
  if (data->rows < 0 || (desc->rows >= 0 && data->rows != desc->rows))
    return wrong_rows(image, i, data->rows, origin, error);
  if (data->row_bytes != row_bytes) {
    error->limit = row_bytes;
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: table \"%s\" has rows of %" PRId64 " bytes, expected %" PRId64,
                     origin, blame(image, i, data->row_bytes, error).text, data->row_bytes, row_bytes);
  }
  if (__builtin_mul_overflow(data->rows, data->row_bytes, &bytes))
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: table \"%s\": %" PRId64 " rows of %" PRId64 " bytes overflow",
                     origin, blame(image, i, data->rows, error).text, data->rows, data->row_bytes);
  return TREC_OK;
}

static int32_t bind_pointers(trec_model *model, const trec_create_options *options, trec_error *error) {
  const struct trec_image *image = model->image;
  if (options->num_tables != image->num_tables)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%" PRId64 " tables given, expected %" PRId64, options->num_tables,
                     image->num_tables);
  for (int64_t i = 0; i < image->num_tables; ++i) {
    const trec_table_data *data = &options->tables[i];
    const struct source source = {"caller's tables", trec_tables_on_device(options)};
    int32_t status = check_table(image, i, data, &source, error);
    if (status == TREC_OK && data->rows > 0 && !data->data) {
      status = trec_fail(error, TREC_INVALID_ARGUMENT, "caller's tables: table \"%s\" has %" PRId64 " rows at null",
                         blame(image, i, data->rows, error).text, data->rows);
    }
    if (status == TREC_OK)
      status = bind_table(model, i, data, error);
    if (status != TREC_OK)
      return status;
  }
  return trec_bind_parameter_pointers(model, options, error);
}

static int32_t bind_safetensors(trec_model *model, struct trec_safetensors *file, trec_error *error) {
  const struct trec_image *image = model->image;
  int32_t status = trec_safetensors_open(file, error);
  if (status != TREC_OK)
    return status;
  for (int64_t i = 0; i < image->num_tables && status == TREC_OK; ++i) {
    trec_table_data data = {0};
    const struct trec_wanted wanted = {"table", trec_table_name(image, i), "U8", 2, 1};
    status = trec_safetensors_find(file, &wanted, &data, error);
    if (status != TREC_OK)
      error->table = i;
    else
      status = check_table(image, i, &data, &(struct source){file->origin, 0}, error);
    if (status == TREC_OK)
      status = bind_table(model, i, &data, error);
  }
  if (status == TREC_OK)
    status = trec_bind_parameter_tensors(model, file, error);
  trec_safetensors_close(file);
  return status;
}

/* Tables that a file holds at odd addresses would split cache lines on every row. */
static int32_t align_tables(trec_model *model, trec_error *error) {
  for (int64_t i = 0; i < model->image->num_tables; ++i) {
    struct trec_table *table = &model->tables[i];
    if (table->owned || (uintptr_t)table->rows % FILE_ALIGNMENT == 0)
      continue;
    const size_t bytes = (size_t)table->num_rows * (size_t)model->image->tables[i].row_bytes;
    if (posix_memalign(&table->owned, COPY_ALIGNMENT, bytes ? bytes : 1)) {
      table->owned = NULL;
      error->table = i;
      return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for %zu bytes of table \"%s\"", bytes,
                       trec_show(trec_table_name(model->image, i)).text);
    }
    table->rows = memcpy(table->owned, table->rows, bytes);
  }
  return TREC_OK;
}

static int32_t bind_path(trec_model *model, const trec_create_options *options, trec_error *error) {
  char origin[160];
  snprintf(origin, sizeof origin, "weights file \"%s\"", trec_show(options->weights_path).text);
  struct trec_safetensors file = {.origin = origin};
  int32_t status = trec_read_weights_file(model, options, &file, error);
  if (status == TREC_OK)
    status = bind_safetensors(model, &file, error);
  return status == TREC_OK ? align_tables(model, error) : status;
}

int32_t trec_bind_weights(trec_model *model, const trec_create_options *options, trec_error *error) {
  const struct trec_image *image = model->image;
  const int sources = !!options->weights_path + !!options->weights_data + !!options->tables;
  if (sources > 1)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "more than one source of weights: expected one of weights_path, weights_data and tables");
  if (!options->tables && (options->parameters || options->num_parameters))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "parameters given without tables: expected both or neither");
  if ((!options->weights_data && options->weights_bytes) || (!options->tables && options->num_tables))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "%s is null, but its size is not 0",
                     options->tables || !options->num_tables ? "weights_data" : "tables");
  if (options->weights_path)
    return bind_path(model, options, error);
  if (options->pages == TREC_PAGES_HUGE)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "pages is TREC_PAGES_HUGE without weights_path: other weights are "
                     "used where they lie");
  if (options->tables)
    return bind_pointers(model, options, error);
  struct trec_safetensors file = {
      .bytes = options->weights_data, .size = options->weights_bytes, .origin = "weights in memory"};
  if (!sources && !image->weights)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "no weights: model \"%s\" embeds none; expected weights_path, weights_data or tables",
                     trec_show(image->name).text);
  if (!sources)
    file = (struct trec_safetensors){
        .bytes = image->weights, .size = (uint64_t)image->weights_bytes, .origin = "embedded weights"};
  return bind_safetensors(model, &file, error);
}

void trec_release_weights(trec_model *model) {
  for (int64_t i = 0; i < model->image->num_tables; ++i) {
    free(model->tables[i].owned);
    model->tables[i].owned = NULL;
    model->tables[i].rows = NULL;
  }
  trec_release_parameters(model);
  if (model->mapping)
    munmap(model->mapping, model->mapping_bytes);
  model->mapping = NULL;
  model->file_bytes = 0;
  model->pages = TREC_PAGES_MAP;
  model->pages_reason = "no file: the tables are on the GPU";
}
