/* Runs batches through a compiled model and writes what came of them, so that another machine's can be compared.
 *
 *     run_batches MODEL.so MODEL.safetensors BATCHES OUTPUTS [upward]
 *
 * With the last word every sum and product is rounded up, in all threads of the model.
 *
 * BATCHES is what make_batches.py writes. OUTPUTS has for each batch its status, its messages and its outputs, in which
 * every NaN is the same: machines differ in the payloads of NaNs, and only in those.
 */
#include <dlfcn.h>
#include <fenv.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trec/Runtime/ModelABI.h"

/* Words of 64 bits, read from front to back. */
struct reader {
  const int64_t *next, *end;
};

static void fail(const char *what, const char *message) {
  fprintf(stderr, "run_batches: %s: %s\n", what, message);
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes + 1);
  if (!memory)
    fail("malloc", "no memory");
  return memory;
}

static struct reader read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END))
    fail(path, "cannot be opened");
  const size_t bytes = (size_t)ftell(file);
  int64_t *words = allocate(bytes);
  rewind(file);
  if (fread(words, 1, bytes, file) != bytes || bytes % sizeof *words)
    fail(path, "cannot be read");
  fclose(file);
  return (struct reader){words, words + bytes / sizeof *words};
}

static int64_t take(struct reader *r) {
  if (r->next == r->end)
    fail("batches", "the file ends within a batch");
  return *r->next++;
}

/* An array of elements of so many bytes, padded to whole words. */
static const void *take_array(struct reader *r, int64_t count, int64_t bytes) {
  const int64_t words = (count * bytes + 7) / 8;
  if (words > r->end - r->next)
    fail("batches", "the file ends within an array");
  const void *array = r->next;
  r->next += words;
  return array;
}

static int64_t bytes_of(int64_t type) {
  switch (type) {
  case TREC_INT64:
    return 8;
  case TREC_INT32:
  case TREC_FLOAT32:
    return 4;
  default:
    return type == TREC_UINT8 ? 1 : 2;
  }
}

static void write_warning(void *user, const trec_error *error) { fprintf(user, "warning: %s\n", error->message); }

static void write_elements(FILE *out, const char *data, int64_t count, int64_t type) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    memcpy(&bits, data + i * bytes_of(type), (size_t)bytes_of(type));
    const uint32_t infinity = type == TREC_FLOAT32 ? 0x7f800000 : type == TREC_FLOAT16 ? 0x7c00 : 0x7f80;
    const uint32_t sign = type == TREC_FLOAT32 ? 0x80000000 : 0x8000;
    if ((bits & ~sign) > infinity)
      bits = ~0u;
    fwrite(&bits, (size_t)bytes_of(type), 1, out);
  }
}

/* Reads the arrays of a batch into its arguments. */
static void take_batch(struct reader *r, trec_forward_args *args) {
  args->batch_size = take(r);
  args->num_keys = take(r);
  args->num_values = take(r);
  args->values_type = (int32_t)take(r);
  args->values = take_array(r, args->num_values, bytes_of(args->values_type));
  const int64_t has_offsets = take(r), type = take(r);
  const int64_t count = args->num_keys * args->batch_size + has_offsets;
  const void *array = take_array(r, count, bytes_of(type));
  if (has_offsets)
    args->offsets = array, args->offsets_type = (int32_t)type;
  else
    args->lengths = array, args->lengths_type = (int32_t)type;
  args->num_weights = take(r);
  if (args->num_weights)
    args->weights = take_array(r, args->num_weights, sizeof(float));
}

/* The outputs follow the batch: one of a pooled model, else one for each key, with the number of their elements. */
static void run_batch(const trec_api *api, trec_model *model, struct reader *r, FILE *out) {
  trec_forward_args args = {.size = sizeof args};
  take_batch(r, &args);
  const int64_t type = take(r), is_pooled = take(r), count = take(r);
  const int64_t *elements = take_array(r, count, sizeof *elements);
  char **outputs = allocate((size_t)count * sizeof *outputs);
  uint64_t *bytes = allocate((size_t)count * sizeof *bytes);
  for (int64_t i = 0; i < count; ++i) {
    bytes[i] = (uint64_t)(elements[i] * bytes_of(type));
    outputs[i] = allocate(bytes[i]);
    memset(outputs[i], 0x5a, bytes[i]);
  }
  if (is_pooled)
    args.output = outputs[0], args.output_bytes = bytes[0];
  else
    args.outputs = (void *const *)outputs, args.outputs_bytes = bytes;
  trec_error error = {.size = sizeof error};
  const int32_t status = api->forward(model, &args, &error);
  fprintf(out, "status %d: %s\n", status, error.message);
  for (int64_t i = 0; i < count; ++i) {
    if (status == TREC_OK)
      write_elements(out, outputs[i], elements[i], type);
    free(outputs[i]);
  }
  free(outputs);
  free(bytes);
}

int main(int argc, char **argv) {
  if (argc != 5 && (argc != 6 || strcmp(argv[5], "upward")))
    fail("usage", "expected MODEL.so MODEL.safetensors BATCHES OUTPUTS [upward]");
  if (argc == 6 && fesetround(FE_UPWARD))
    fail("fesetround", "rounding is not to be changed");
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library)
    fail(argv[1], dlerror());
  trec_query query = (trec_query)dlsym(library, "trec_model_query");
  trec_error error = {.size = sizeof error};
  const trec_api *api = query ? query(TREC_ABI_VERSION, &error) : NULL;
  FILE *out = fopen(argv[4], "wb");
  if (!api || !out)
    fail(argv[1], "no interface, or no file to write");
  trec_create_options options = {
      .size = sizeof options, .weights_path = argv[2], .threads = 2, .warning = write_warning, .warning_user = out};
  trec_model *model;
  if (api->create(&options, &model, &error) != TREC_OK)
    fail(argv[1], error.message);
  struct reader batches = read_file(argv[3]);
  while (batches.next != batches.end)
    run_batch(api, model, &batches, out);
  trec_counters counters = {.size = sizeof counters};
  api->counters(model, &counters);
  printf("level %s, %" PRId64 " batches, %" PRId64 " refused, %" PRId64 " bad ids\n", api->cpu_level(model),
         counters.forwards + counters.failed, counters.failed, counters.bad_ids);
  api->destroy(model);
  return fclose(out) != 0;
}
