/* Compiled as strict C11: the public header must be plain C, and the example at its top must work as written. */
#include "trec/Runtime/ModelABI.h"

const char *run_as_c11(const trec_api *(*query)(uint32_t, trec_error *), const void *file, uint64_t bytes, float *out);

const char *run_as_c11(const trec_api *(*query)(uint32_t, trec_error *), const void *file, uint64_t bytes, float *out) {
  static trec_error error = {.size = sizeof error};
  static const int64_t ids[] = {1, 2, 3};
  static const int32_t lengths[] = {2, 1, 0};
  const trec_api *api = query(TREC_ABI_VERSION, &error);
  if (!api)
    return error.message;
  trec_create_options options = {.size = sizeof options, .weights_data = file, .weights_bytes = bytes};
  trec_model *model;
  if (api->create(&options, &model, &error) != TREC_OK)
    return error.message;
  trec_forward_args args = {.size = sizeof args,
                            .batch_size = 1,
                            .num_keys = 3,
                            .values = ids,
                            .num_values = 3,
                            .values_type = TREC_INT64,
                            .lengths = lengths,
                            .lengths_type = TREC_INT32,
                            .output = out,
                            .output_bytes = 12 * sizeof *out};
  api->forward(model, &args, &error);
  api->destroy(model);
  return error.message;
}
