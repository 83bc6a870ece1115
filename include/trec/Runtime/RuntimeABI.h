/* What generated code and the runtime of one `.so` know of each other by name.
 *
 * Read by the runtime and by what emits a model (`lib/Target/KernelTable.cpp`). As KernelABI.h, it may change freely: a
 * `.so` is always linked from one version of both sides. All symbols are hidden; the only exported one is the query
 * function, a generated wrapper whose whole body is
 *
 *     return trec_runtime_query(abi_version, error);
 */
#ifndef TREC_RUNTIME_ABI_H
#define TREC_RUNTIME_ABI_H

#include "trec/Runtime/KernelABI.h"
#include "trec/Runtime/ModelABI.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TREC_HIDDEN __attribute__((visibility("hidden")))
#else
#define TREC_HIDDEN
#endif

/* Defined by generated code. */
extern const struct trec_image trec_image TREC_HIDDEN;
extern const trec_api trec_model_api TREC_HIDDEN; /* points to the functions below */

/* Defined by the runtime; their contracts are those of the trec_api members of the same name. */
TREC_HIDDEN const trec_api *trec_runtime_query(uint32_t abi_version, trec_error *error);
TREC_HIDDEN int32_t trec_runtime_create(const trec_create_options *options, trec_model **model, trec_error *error);
TREC_HIDDEN void trec_runtime_destroy(trec_model *model);
TREC_HIDDEN int32_t trec_runtime_workspace_size(const trec_model *model, int64_t num_keys, int64_t batch_size,
                                                uint64_t *bytes, trec_error *error);
TREC_HIDDEN int32_t trec_runtime_forward(trec_model *model, const trec_forward_args *args, trec_error *error);
TREC_HIDDEN int32_t trec_runtime_counters(const trec_model *model, trec_counters *counters);
TREC_HIDDEN const char *trec_runtime_cpu_level(const trec_model *model);
TREC_HIDDEN int32_t trec_runtime_poll(trec_model *model, trec_error *error);
TREC_HIDDEN int32_t trec_runtime_weights_info(const trec_model *model, trec_weights_info *info);
TREC_HIDDEN int32_t trec_runtime_check_exactness(trec_model *model, trec_error *error);
TREC_HIDDEN int64_t trec_runtime_certified_length(const trec_model *model, int64_t table);
TREC_HIDDEN int32_t trec_runtime_table_info(const trec_model *model, int64_t table, trec_table_info *info);

/* The compiler writes trec_model_api as a constant, so its layout is asserted here, next to the fields' users. */
#define TREC_API_AT(field, offset)                                                                                     \
  TREC_LAYOUT_ASSERT(offsetof(trec_api, field) == (offset), "trec_api." #field " must be at byte " #offset)

TREC_API_AT(size, 0);
TREC_API_AT(abi_version, 8);
TREC_API_AT(metadata, 16);
TREC_API_AT(metadata_bytes, 24);
TREC_API_AT(ir, 32);
TREC_API_AT(ir_bytes, 40);
TREC_API_AT(create, 48);
TREC_API_AT(destroy, 56);
TREC_API_AT(workspace_size, 64);
TREC_API_AT(forward, 72);
TREC_API_AT(counters, 80);
TREC_API_AT(cpu_level, 88);
TREC_API_AT(poll, 96);
TREC_API_AT(weights_info, 104);
TREC_API_AT(check_exactness, 112);
TREC_API_AT(certified_length, 120);
TREC_API_AT(table_info, 128);
TREC_LAYOUT_ASSERT(sizeof(trec_api) == 136, "trec_api must be 136 bytes");

#ifdef __cplusplus
}
#endif
#endif /* TREC_RUNTIME_ABI_H */
