/* Binding a model's parameters: weights by position, and the maps of pruned tables.
 *
 * They are vectors of 4-byte elements that come from the same source as the tables. Kernels read them as elements, so
 * what lies at an address that is no multiple of 4 is copied; everything else is used where it lies.
 */
#include "Error.h"
#include "Model.h"
#include "Safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENT_BYTES = 4 };

static int32_t out_of_memory(const trec_model *model, int64_t i, trec_error *error) {
  return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for parameter \"%s\"",
                   trec_show(trec_parameter_name(model->image, i)).text);
}

/* A map sends ids to rows of its tables or to -1; kernels check it again, for the caller may change it. */
static int32_t check_map(const trec_model *model, int64_t i, const char *origin, trec_error *error) {
  const struct trec_image *image = model->image;
  const int32_t *map = model->parameters[i].data;
  for (int64_t b = 0; b < image->num_bags; ++b) {
    if (image->bags[b].remap != i + 1)
      continue;
    const int64_t rows = model->tables[image->bags[b].table].num_rows;
    for (int64_t id = 0; id < image->parameters[i].count; ++id) {
      if (map[id] >= -1 && map[id] < rows)
        continue;
      error->table = image->bags[b].table;
      error->value = map[id];
      error->limit = rows;
      return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                       "%s: parameter \"%s\" maps id %" PRId64 " to row %d, but table \"%s\" has %" PRId64 " rows",
                       origin, trec_show(trec_parameter_name(image, i)).text, id, map[id],
                       trec_show(trec_table_name(image, error->table)).text, rows);
    }
  }
  return TREC_OK;
}

static int32_t bind(trec_model *model, int64_t i, const void *data, const char *origin, trec_error *error) {
  struct trec_parameter *parameter = &model->parameters[i];
  const struct trec_parameter_desc *desc = &model->image->parameters[i];
  const size_t bytes = (size_t)desc->count * ELEMENT_BYTES;
  parameter->data = data;
  if (!desc->count || (uintptr_t)data % ELEMENT_BYTES) {
    parameter->owned = calloc(1, bytes + ELEMENT_BYTES);
    if (!parameter->owned)
      return out_of_memory(model, i, error);
    if (desc->count)
      memcpy(parameter->owned, data, bytes);
    else if (desc->type == TREC_INT32)
      *(int32_t *)parameter->owned = -1; /* what a bad id, taken for id 0, is mapped to */
    parameter->data = parameter->owned;
  }
  return desc->type == TREC_INT32 ? check_map(model, i, origin, error) : TREC_OK;
}

static int32_t wrong_count(const trec_model *model, int64_t i, int64_t count, const char *origin, trec_error *error) {
  error->value = count;
  error->limit = model->image->parameters[i].count;
  return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: parameter \"%s\" has %" PRId64 " elements, expected %" PRId64,
                   origin, trec_show(trec_parameter_name(model->image, i)).text, count, error->limit);
}

int32_t trec_bind_parameter_pointers(trec_model *model, const trec_create_options *options, trec_error *error) {
  static const char origin[] = "caller's parameters";
  const struct trec_image *image = model->image;
  if (options->num_parameters != image->num_parameters || (image->num_parameters && !options->parameters))
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%" PRId64 " parameters given, expected %" PRId64,
                     options->parameters ? options->num_parameters : 0, image->num_parameters);
  int32_t status = TREC_OK;
  for (int64_t i = 0; i < image->num_parameters && status == TREC_OK; ++i) {
    const trec_table_data *data = &options->parameters[i];
    const char *name = trec_parameter_name(image, i);
    if (data->rows != image->parameters[i].count)
      return wrong_count(model, i, data->rows, origin, error);
    if (data->row_bytes != ELEMENT_BYTES)
      return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                       "%s: parameter \"%s\" has elements of %" PRId64 " bytes, expected %d", origin,
                       trec_show(name).text, data->row_bytes, ELEMENT_BYTES);
    if (data->rows && !data->data)
      return trec_fail(error, TREC_INVALID_ARGUMENT, "%s: parameter \"%s\" has %" PRId64 " elements at null", origin,
                       trec_show(name).text, data->rows);
    status = bind(model, i, data->data, origin, error);
  }
  return status;
}

int32_t trec_bind_parameter_tensors(trec_model *model, const struct trec_safetensors *file, trec_error *error) {
  const struct trec_image *image = model->image;
  int32_t status = TREC_OK;
  for (int64_t i = 0; i < image->num_parameters && status == TREC_OK; ++i) {
    const char *dtype = image->parameters[i].type == TREC_FLOAT32 ? "F32" : "I32";
    const struct trec_wanted wanted = {"parameter", trec_parameter_name(image, i), dtype, 1};
    trec_table_data data = {0};
    status = trec_safetensors_find(file, &wanted, &data, error);
    if (status == TREC_OK && data.rows != image->parameters[i].count)
      return wrong_count(model, i, data.rows, file->origin, error);
    if (status == TREC_OK)
      status = bind(model, i, data.data, file->origin, error);
  }
  return status;
}

void trec_release_parameters(trec_model *model) {
  for (int64_t i = 0; i < model->image->num_parameters; ++i)
    free(model->parameters[i].owned);
}
