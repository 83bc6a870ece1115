/* A program that serves a compiled model knows two files: the generated model.h and the library. It reads one batch
 * from a raw file and writes the pooled embeddings to another, so that demo.py can compare them with TorchRec's, bit by
 * bit.
 *
 *     cc example.c model.so -o example && ./example model.safetensors batch.raw embeddings.raw
 *
 * The batch: int64 B, K and N; N int64 ids; K * B int32 lengths.
 */
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

struct batch {
  int64_t size, keys, ids;
  int64_t *values;
  int32_t *lengths;
};

static int fail(const char *what) {
  fprintf(stderr, "example: %s\n", what);
  return 1;
}

static int read_batch(const char *path, struct batch *batch) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return fail("cannot open the batch");
  int64_t sizes[3];
  size_t ok = fread(sizes, sizeof sizes, 1, file);
  if (ok) {
    batch->size = sizes[0];
    batch->keys = sizes[1];
    batch->ids = sizes[2];
    size_t bags = (size_t)(batch->keys * batch->size);
    batch->values = malloc((size_t)batch->ids * sizeof *batch->values + 1);
    batch->lengths = malloc(bags * sizeof *batch->lengths + 1);
    ok = batch->values && batch->lengths &&
         fread(batch->values, sizeof *batch->values, (size_t)batch->ids, file) == (size_t)batch->ids &&
         fread(batch->lengths, sizeof *batch->lengths, bags, file) == bags;
  }
  fclose(file);
  return ok ? 0 : fail("cannot read the batch");
}

static int write_output(const char *path, const float *output, size_t count) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return fail("cannot write the embeddings");
  size_t written = fwrite(output, sizeof *output, count, file);
  return fclose(file) == 0 && written == count ? 0 : fail("cannot write the embeddings");
}

/* Pools the batch into output, which holds B * TREC_MODEL_TOTAL_DIM floats. */
static int serve(const char *weights, const struct batch *batch, float *output) {
  trec_error error = {.size = sizeof error};
  const trec_api *api = trec_model_query(TREC_ABI_VERSION, &error);
  if (!api)
    return fail(error.message);
  trec_create_options options = {.size = sizeof options, .weights_path = weights};
  trec_model *model;
  if (api->create(&options, &model, &error) != TREC_OK)
    return fail(error.message);
  trec_forward_args args = {
      .size = sizeof args,
      .batch_size = batch->size,
      .num_keys = batch->keys,
      .values = batch->values,
      .num_values = batch->ids,
      .values_type = TREC_INT64,
      .lengths = batch->lengths,
      .lengths_type = TREC_INT32,
      .output = output,
      .output_bytes = (uint64_t)batch->size * TREC_MODEL_TOTAL_DIM * sizeof *output,
  };
  int32_t status = api->forward(model, &args, &error);
  api->destroy(model);
  return status == TREC_OK ? 0 : fail(error.message);
}

int main(int argc, char **argv) {
  if (argc != 4)
    return fail("expected WEIGHTS BATCH EMBEDDINGS"), 2;
  struct batch batch = {0};
  if (read_batch(argv[2], &batch))
    return 1;
  size_t count = (size_t)batch.size * TREC_MODEL_TOTAL_DIM;
  float *output = malloc(count * sizeof *output + 1);
  int status = output ? serve(argv[1], &batch, output) : fail("out of memory");
  if (status == 0)
    status = write_output(argv[3], output, count);
  free(output);
  free(batch.values);
  free(batch.lengths);
  return status;
}
