/* See Safetensors.h. */
#include "Safetensors.h"
#include "Error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The format's own limit. */
static const uint64_t max_header_bytes = 100000000;

static int32_t malformed(const struct trec_safetensors *file, size_t position, trec_error *error) {
  return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: header is not the JSON of a safetensors file at byte %zu",
                   file->origin, position + 8);
}

static int32_t out_of_memory(const struct trec_safetensors *file, trec_error *error) {
  return trec_fail(error, TREC_OUT_OF_MEMORY, "%s: out of memory for its header", file->origin);
}

static int32_t read_header_length(struct trec_safetensors *file, trec_error *error) {
  uint64_t length = 0;
  if (file->size < sizeof length)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: not a safetensors file: %" PRIu64 " bytes, expected 8 or more",
                     file->origin, file->size);
  for (int i = 7; i >= 0; --i)
    length = length << 8 | file->bytes[i];
  if (length > max_header_bytes)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: not a safetensors file: header of %" PRIu64 " bytes, expected at most %" PRIu64, file->origin,
                     length, max_header_bytes);
  if (length > file->size - sizeof length)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: truncated: header ends at byte %" PRIu64 ", but there are only %" PRIu64 " bytes",
                     file->origin, length + 8, file->size);
  file->data = 8 + length;
  return TREC_OK;
}

static int compare_names(const void *left, const void *right) {
  const struct trec_tensor *a = left, *b = right;
  const size_t common = a->name_length < b->name_length ? a->name_length : b->name_length;
  const int order = memcmp(a->name, b->name, common);
  return order ? order : (a->name_length > b->name_length) - (a->name_length < b->name_length);
}

/* Lists the members of the root but "__metadata__". */
static int32_t list_tensors(struct trec_safetensors *file, trec_error *error) {
  const struct trec_json *json = &file->json;
  char *name = file->names;
  int key = 0, more;
  while ((more = trec_json_next_member(json, 0, &key)) > 0) {
    if (trec_json_is(json, key, "__metadata__"))
      continue;
    const ptrdiff_t length = trec_json_string(json, key, name);
    if (length < 0 || json->tokens[key + 1].type != JSMN_OBJECT)
      return malformed(file, (size_t)json->tokens[key].start, error);
    file->tensors[file->num_tensors++] = (struct trec_tensor){name, (size_t)length, key};
    name += length + 1;
  }
  return more ? malformed(file, (size_t)json->tokens[key].start, error) : TREC_OK;
}

static int32_t refuse_duplicates(const struct trec_safetensors *file, trec_error *error) {
  for (size_t i = 1; i < file->num_tensors; ++i)
    if (!compare_names(&file->tensors[i - 1], &file->tensors[i]))
      return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: two tensors are named \"%s\"", file->origin,
                       trec_show(file->tensors[i].name).text);
  return TREC_OK;
}

static int32_t index_tensors(struct trec_safetensors *file, trec_error *error) {
  /* A name without its quotes leaves room for its NUL, so the header's length is enough for all of them. */
  file->names = malloc(file->json.length);
  file->tensors = malloc((size_t)file->json.tokens[0].size * sizeof *file->tensors + 1);
  if (!file->names || !file->tensors)
    return out_of_memory(file, error);
  int32_t status = list_tensors(file, error);
  if (status != TREC_OK)
    return status;
  qsort(file->tensors, file->num_tensors, sizeof *file->tensors, compare_names);
  return refuse_duplicates(file, error);
}

int32_t trec_safetensors_open(struct trec_safetensors *file, trec_error *error) {
  size_t position;
  int32_t status = read_header_length(file, error);
  if (status != TREC_OK)
    return status;
  switch (trec_json_parse(&file->json, (const char *)file->bytes + 8, file->data - 8, &position)) {
  case TREC_JSON_MALFORMED:
    return malformed(file, position, error);
  case TREC_JSON_OUT_OF_MEMORY:
    return out_of_memory(file, error);
  }
  status = index_tensors(file, error);
  if (status != TREC_OK)
    trec_safetensors_close(file);
  return status;
}

void trec_safetensors_close(struct trec_safetensors *file) {
  trec_json_free(&file->json);
  free(file->names);
  free(file->tensors);
  file->names = NULL;
  file->tensors = NULL;
}

/* The tokens of one tensor's description that matter; 0 where it lacks them. */
struct description {
  int dtype, shape, offsets;
};

static int read_description(const struct trec_json *json, int object, struct description *d) {
  int key = object, more;
  *d = (struct description){0, 0, 0};
  while ((more = trec_json_next_member(json, object, &key)) > 0) {
    int *field = trec_json_is(json, key, "dtype")          ? &d->dtype
                 : trec_json_is(json, key, "shape")        ? &d->shape
                 : trec_json_is(json, key, "data_offsets") ? &d->offsets
                                                           : NULL;
    if (field && *field)
      return 0;
    if (field)
      *field = key + 1;
  }
  return !more && d->dtype && d->shape && d->offsets;
}

/* Holds the tensor's place in the file against its shape and the file's end. */
static int32_t locate(const struct trec_safetensors *file, const struct trec_wanted *wanted, const uint64_t offsets[2],
                      struct trec_table_data *found, trec_error *error) {
  const uint64_t rows = (uint64_t)found->rows, row_bytes = (uint64_t)found->row_bytes;
  const struct trec_shown name = trec_show(wanted->name);
  uint64_t bytes, end;
  if (__builtin_mul_overflow(rows, row_bytes, &bytes) || offsets[1] < offsets[0] || offsets[1] - offsets[0] != bytes)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: %s \"%s\": shape [%" PRIu64 ", %" PRIu64 "] does not fit data_offsets [%" PRIu64 ", %" PRIu64
                     "]",
                     file->origin, wanted->what, name.text, rows, row_bytes, offsets[0], offsets[1]);
  if (__builtin_add_overflow(file->data, offsets[1], &end) || end > file->size)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: truncated: %s \"%s\" ends at byte %" PRIu64 " of the data, but there are only %" PRIu64,
                     file->origin, wanted->what, name.text, offsets[1], file->size - file->data);
  found->data = file->bytes + file->data + offsets[0];
  return TREC_OK;
}

/* A part of the header as it stands there, cut to a length that a message can hold. */
struct excerpt {
  int length;
  const char *text;
};

static struct excerpt excerpt(const struct trec_json *json, int token, int most) {
  const jsmntok_t *t = &json->tokens[token];
  return (struct excerpt){t->end - t->start < most ? t->end - t->start : most, json->text + t->start};
}

/* Reads the shape: [rows, elements of a row], or [rows] of one element each. */
static int read_shape(const struct trec_json *json, int token, const struct trec_wanted *wanted,
                      struct trec_table_data *found) {
  uint64_t shape[2] = {0, 1}, bytes;
  if (!trec_json_integers(json, token, shape, wanted->dimensions) || shape[0] > INT64_MAX ||
      __builtin_mul_overflow(shape[1], wanted->element_bytes, &bytes) || bytes > INT64_MAX)
    return 0;
  found->rows = (int64_t)shape[0];
  found->row_bytes = (int64_t)bytes;
  return 1;
}

/* What a shape should have been, for messages. */
static const char *expected_shape(const struct trec_wanted *wanted) {
  if (wanted->dimensions == 1)
    return "[elements]";
  return wanted->element_bytes == 1 ? "[rows, bytes per row]" : "[entries, elements of an entry]";
}

static int32_t read_tensor(const struct trec_safetensors *file, const struct trec_wanted *wanted, int object,
                           struct trec_table_data *found, trec_error *error) {
  const struct trec_json *json = &file->json;
  const struct trec_shown name = trec_show(wanted->name);
  struct description d;
  uint64_t offsets[2];
  if (!read_description(json, object, &d) || json->tokens[d.dtype].type != JSMN_STRING ||
      !trec_json_integers(json, d.offsets, offsets, 2))
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: %s \"%s\": expected one dtype, shape and data_offsets each at byte %d", file->origin,
                     wanted->what, name.text, json->tokens[object].start + 8);
  if (!trec_json_is(json, d.dtype, wanted->dtype)) {
    const struct excerpt dtype = excerpt(json, d.dtype, 20);
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: %s \"%s\": dtype is \"%.*s\", expected \"%s\"", file->origin,
                     wanted->what, name.text, dtype.length, dtype.text, wanted->dtype);
  }
  if (!read_shape(json, d.shape, wanted, found)) {
    const struct excerpt shape = excerpt(json, d.shape, 60);
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: %s \"%s\": shape is %.*s, expected %s", file->origin,
                     wanted->what, name.text, shape.length, shape.text, expected_shape(wanted));
  }
  return locate(file, wanted, offsets, found, error);
}

int32_t trec_safetensors_find(const struct trec_safetensors *file, const struct trec_wanted *wanted,
                              struct trec_table_data *found, trec_error *error) {
  const struct trec_tensor key = {wanted->name, strlen(wanted->name), 0};
  const struct trec_tensor *tensor =
      bsearch(&key, file->tensors, file->num_tensors, sizeof *file->tensors, compare_names);
  if (!tensor)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH, "%s: no tensor for %s \"%s\" among its %zu tensors", file->origin,
                     wanted->what, trec_show(wanted->name).text, file->num_tensors);
  return read_tensor(file, wanted, tensor->key + 1, found, error);
}
