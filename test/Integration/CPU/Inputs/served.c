/* A program that serves two compiled models and compares their outputs, bit by bit, with those of served.h.
 *
 *     cc served.c bags.so sequence.so -o served
 *     ./served model/bags/model.safetensors model/sequence/model.safetensors
 */
#include <stdio.h>
#include <string.h>

#include "bags.h"
#include "sequence.h"

#include "served.h"

enum { NUM_IDS = sizeof ids / sizeof *ids };

static int fail(const char *model, const char *message) {
  fprintf(stderr, "served: %s: %s\n", model, message);
  return 1;
}

static int compare(const char *model, const float *output, const uint32_t *expected, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &output[i], sizeof bits);
    if (bits != expected[i]) {
      fprintf(stderr, "served: %s: element %zu: expected 0x%08x, got 0x%08x\n", model, i, expected[i], bits);
      return 1;
    }
  }
  printf("%s: %zu elements are the same\n", model, count);
  return 0;
}

static int run(const char *name, trec_query query, const char *weights, trec_forward_args args) {
  trec_error error = {.size = sizeof error};
  const trec_api *api = query(TREC_ABI_VERSION, &error);
  if (!api)
    return fail(name, error.message);
  trec_create_options options = {.size = sizeof options, .weights_path = weights};
  trec_model *model;
  if (api->create(&options, &model, &error) != TREC_OK)
    return fail(name, error.message);
  args.size = sizeof args;
  args.batch_size = NUM_SAMPLES;
  args.num_keys = NUM_KEYS;
  args.values = ids;
  args.num_values = NUM_IDS;
  args.values_type = TREC_INT64;
  args.lengths = lengths;
  args.lengths_type = TREC_INT32;
  int status = api->forward(model, &args, &error);
  api->destroy(model);
  return status == TREC_OK ? 0 : fail(name, error.message);
}

static int serve_bags(const char *weights) {
  static float output[sizeof bags_expected / sizeof *bags_expected];
  trec_forward_args args = {.slots = bags_slots, .output = output, .output_bytes = sizeof output};
  return run("bags", bags_query, weights, args) ||
         compare("bags", output, bags_expected, sizeof output / sizeof *output);
}

static int serve_sequence(const char *weights) {
  static float output[sizeof sequence_expected / sizeof *sequence_expected];
  void *outputs[NUM_OUTPUTS];
  uint64_t bytes[NUM_OUTPUTS];
  float *next = output;
  for (int i = 0; i < NUM_OUTPUTS; ++i) {
    outputs[i] = next;
    bytes[i] = (uint64_t)sequence_elements[i] * sizeof *output;
    next += sequence_elements[i];
  }
  trec_forward_args args = {.slots = sequence_slots, .outputs = outputs, .outputs_bytes = bytes};
  return run("sequence", sequence_query, weights, args) ||
         compare("sequence", output, sequence_expected, sizeof output / sizeof *output);
}

int main(int argc, char **argv) {
  if (argc != 3)
    return fail("usage", "expected the weights of bags and of sequence");
  return serve_bags(argv[1]) || serve_sequence(argv[2]);
}
