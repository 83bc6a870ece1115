/* Binding a model's parameters: weights by position, and maps from ids to rows.
 *
 * They come from the same source as the tables. Kernels read them as elements, so what lies at an address that is no
 * multiple of an element's size is copied; everything else is used where it lies.
 */
#include "Error.h"
#include "GPU.h"
#include "Safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int64_t element_bytes(const struct trec_parameter_desc *desc) { return desc->type == TREC_INT64 ? 8 : 4; }

static int64_t entry_bytes(const struct trec_parameter_desc *desc) {
  return element_bytes(desc) * trec_entry_elements(desc);
}

static int32_t out_of_memory(const trec_model *model, int64_t i, trec_error *error) {
  return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for parameter \"%s\"",
                   trec_show(trec_parameter_name(model->image, i)).text);
}

size_t trec_parameter_bytes(const trec_model *model, int64_t parameter) {
  const int64_t count = model->parameters[parameter].count;
  return (size_t)(count ? count : 1) * (size_t)entry_bytes(&model->image->parameters[parameter]);
}

/* Where a found parameter's bytes are. */
struct source {
  const trec_table_data *data;
  const char *origin;
  int is_on_device;
};

static int32_t copy(trec_model *model, int64_t i, const struct source *source, trec_error *error) {
  struct trec_parameter *parameter = &model->parameters[i];
  const size_t entry = (size_t)entry_bytes(&model->image->parameters[i]), bytes = (size_t)parameter->count * entry;
  parameter->owned = malloc(bytes + entry);
  if (!parameter->owned)
    return out_of_memory(model, i, error);
  parameter->data = parameter->owned;
  if (!parameter->count)
    memset(parameter->owned, 0xff, entry); /* no row for a bad id, and an empty slot */
  else if (source->is_on_device)
    return trec_gpu_read(model->gpu, parameter->owned, source->data->data, bytes, error);
  else
    memcpy(parameter->owned, source->data->data, bytes);
  return TREC_OK;
}

static int32_t bind(trec_model *model, int64_t i, const struct source *source, trec_error *error) {
  const trec_table_data *data = source->data;
  struct trec_parameter *parameter = &model->parameters[i];
  const struct trec_parameter_desc *desc = &model->image->parameters[i];
  parameter->data = data->data;
  parameter->count = data->rows;
  if (!data->rows || source->is_on_device || (uintptr_t)data->data % (size_t)element_bytes(desc)) {
    const int32_t status = copy(model, i, source, error);
    if (status != TREC_OK)
      return status;
  }
  return desc->map == TREC_MAP_NONE ? TREC_OK : trec_check_map(model, i, source->origin, error);
}

/* Holds the size of a parameter that was found against the model's. */
static int32_t check_count(const trec_model *model, int64_t i, const trec_table_data *data, const char *origin,
                           trec_error *error) {
  const struct trec_parameter_desc *desc = &model->image->parameters[i];
  const char *what = trec_entry_elements(desc) == 1 ? "elements" : "entries";
  const struct trec_shown name = trec_show(trec_parameter_name(model->image, i));
  int64_t bytes;
  if (data->row_bytes != entry_bytes(desc))
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: parameter \"%s\" has %s of %" PRId64 " bytes, expected %" PRId64, origin, name.text, what,
                     data->row_bytes, entry_bytes(desc));
  const int fits = data->rows >= 0 && !__builtin_mul_overflow(data->rows, data->row_bytes, &bytes);
  if (fits && (data->rows == desc->count || desc->count < 0))
    return TREC_OK;
  error->value = data->rows;
  error->limit = desc->count;
  if (desc->count < 0)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: parameter \"%s\" has %" PRId64 " %s, expected a number of them that fits into memory", origin,
                     name.text, data->rows, what);
  return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: parameter \"%s\" has %" PRId64 " %s, expected %" PRId64, origin,
                   name.text, data->rows, what, error->limit);
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
    status = check_count(model, i, data, origin, error);
    if (status == TREC_OK && data->rows && !data->data)
      return trec_fail(error, TREC_INVALID_ARGUMENT, "%s: parameter \"%s\" has %" PRId64 " elements at null", origin,
                       trec_show(trec_parameter_name(image, i)).text, data->rows);
    if (status == TREC_OK)
      status = bind(model, i, &(struct source){data, origin, trec_tables_on_device(options)}, error);
  }
  return status;
}

int32_t trec_bind_parameter_tensors(trec_model *model, const struct trec_safetensors *file, trec_error *error) {
  const struct trec_image *image = model->image;
  int32_t status = TREC_OK;
  for (int64_t i = 0; i < image->num_parameters && status == TREC_OK; ++i) {
    const struct trec_parameter_desc *desc = &image->parameters[i];
    const char *dtype = desc->type == TREC_FLOAT32 ? "F32" : desc->type == TREC_INT32 ? "I32" : "I64";
    const struct trec_wanted wanted = {"parameter", trec_parameter_name(image, i), dtype,
                                       (int)trec_entry_elements(desc), (int)element_bytes(desc)};
    trec_table_data data = {0};
    status = trec_safetensors_find(file, &wanted, &data, error);
    if (status == TREC_OK)
      status = check_count(model, i, &data, file->origin, error);
    if (status == TREC_OK)
      status = bind(model, i, &(struct source){&data, file->origin, 0}, error);
  }
  return status;
}

void trec_release_parameters(trec_model *model) {
  for (int64_t i = 0; i < model->image->num_parameters; ++i) {
    free(model->parameters[i].owned);
    model->parameters[i].owned = NULL;
    model->parameters[i].data = NULL;
  }
}
