/* The entry to a model: hands out its table of functions to callers that were built against the same ABI. */
#include "Error.h"
#include "trec/Runtime/RuntimeABI.h"

const trec_api *trec_runtime_query(uint32_t abi_version, trec_error *error) {
  trec_error local;
  trec_error_reset(&local);
  if (abi_version != TREC_ABI_VERSION)
    trec_fail(&local, TREC_VERSION_MISMATCH, "caller has ABI version %u, model \"%s\" has %u", abi_version,
              trec_show(trec_image.name).text, TREC_ABI_VERSION);
  trec_error_give(error, &local);
  return local.status == TREC_OK ? &trec_model_api : NULL;
}
