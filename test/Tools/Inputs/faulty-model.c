/* A model that passes every call on to another one (REAL, a path) and spoils one thing: FAULT. What notices? */
#include "trec/Runtime/ModelABI.h"

#include <dlfcn.h>
#include <stdio.h>

enum { FLIP_BIT = 1, MISCOUNT, ACCEPT_BAD_IDS, FAIL, BAD_IR, BAD_METADATA, OTHER_VERSION };

static const trec_api *real;
static trec_api api;

static int32_t forward(trec_model *model, const trec_forward_args *args, trec_error *error) {
  int32_t status = real->forward(model, args, error);
  if (FAULT == FLIP_BIT && args->batch_size > 1)
    ((uint8_t *)args->output)[args->output_bytes - 4] ^= 1;
  if (FAULT == ACCEPT_BAD_IDS)
    status = TREC_OK;
  if (FAULT == FAIL) {
    status = TREC_OUT_OF_MEMORY;
    snprintf(error->message, sizeof error->message, "out of memory as it seems");
  }
  return status;
}

static int32_t counters(const trec_model *model, trec_counters *counters) {
  int32_t status = real->counters(model, counters);
  if (FAULT == MISCOUNT)
    counters->bad_ids += counters->forwards;
  return status;
}

const trec_api *trec_model_query(uint32_t abi_version, trec_error *error) {
  trec_query query = (trec_query)dlsym(dlopen(REAL, RTLD_NOW), "trec_model_query");
  real = query(FAULT == OTHER_VERSION ? abi_version + 1 : abi_version, error);
  if (!real)
    return NULL;
  api = *real;
  api.forward = forward;
  api.counters = counters;
  if (FAULT == BAD_IR)
    api.ir_bytes = 0;
  if (FAULT == BAD_METADATA)
    api.metadata_bytes = 1;
  return &api;
}
