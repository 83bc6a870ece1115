/* Forward: check, resolve offsets, run kernels, report. The way of a small batch, some tens of bags on one thread, has
 * no lock, no allocation and no system call. */
#include "Error.h"
#include "Model.h"

#include <inttypes.h>
#include <stdlib.h>

/* Offsets of smaller batches lie on the stack. */
enum { STACK_OFFSETS = 1024, WORKSPACE_ALIGNMENT = 64 };

/* Bytes for num_keys * batch_size + 1 offsets. */
static int32_t offsets_bytes(int64_t num_keys, int64_t batch_size, uint64_t *bytes, trec_error *error) {
  int64_t count;
  if (num_keys < 0 || batch_size < 0)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "num_keys is %" PRId64 ", batch_size is %" PRId64 ", expected 0 or more", num_keys, batch_size);
  if (__builtin_mul_overflow(num_keys, batch_size, &count) ||
      __builtin_add_overflow(count, 1 + WORKSPACE_ALIGNMENT, &count) || __builtin_mul_overflow(count, 8, &count))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "%" PRId64 " keys of %" PRId64 " samples overflow 64 bits", num_keys,
                     batch_size);
  const uint64_t used = ((uint64_t)num_keys * (uint64_t)batch_size + 1) * sizeof(int64_t);
  *bytes = (used + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
  return TREC_OK;
}

int32_t trec_runtime_workspace_size(const trec_model *model, int64_t num_keys, int64_t batch_size, uint64_t *bytes,
                                    trec_error *error) {
  trec_error local;
  trec_error_reset(&local);
  if (!model || !bytes)
    trec_fail(&local, TREC_INVALID_ARGUMENT, "%s is null", model ? "bytes" : "model");
  else
    offsets_bytes(num_keys, batch_size, bytes, &local);
  trec_error_give(error, &local);
  return local.status;
}

static int32_t check_workspace(const trec_forward_args *args, uint64_t needed, trec_error *error) {
  if (args->workspace_bytes < needed)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "workspace_bytes is %" PRIu64 ", expected at least %" PRIu64,
                     args->workspace_bytes, needed);
  if ((uintptr_t)args->workspace % sizeof(int64_t))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "workspace is not aligned to %zu bytes", sizeof(int64_t));
  return TREC_OK;
}

static int32_t run(trec_model *model, const trec_forward_args *args, int64_t *workspace, trec_error *error) {
  struct trec_job job = {
      .model = model,
      .args = args,
      .row_stride = args->output_row_stride ? args->output_row_stride : model->image->total_dim,
      .variant = args->values_type == TREC_INT32 ? TREC_KERNEL_INT32 : TREC_KERNEL_INT64,
  };
  int32_t status = trec_resolve_offsets(model->image, args, workspace, &job.offsets, error);
  if (status == TREC_OK && model->image->num_parameters)
    status = trec_check_lengths(model, args, job.offsets, error);
  if (status == TREC_OK && model->image->unpooled)
    status = trec_check_outputs(model, args, job.offsets, error);
  if (status != TREC_OK)
    return status;
  const struct trec_bad_ids bad = trec_run_job(model, &job);
  return trec_report_bad_ids(model, &job, &bad, error);
}

static int32_t run_in_own_workspace(trec_model *model, const trec_forward_args *args, uint64_t bytes,
                                    trec_error *error) {
  int64_t *workspace = malloc(bytes);
  if (!workspace)
    return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a workspace of %" PRIu64 " bytes", bytes);
  int32_t status = run(model, args, workspace, error);
  free(workspace);
  return status;
}

static int32_t forward(trec_model *model, const trec_forward_args *given, trec_error *error) {
  trec_forward_args args;
  int64_t small[STACK_OFFSETS];
  uint64_t bytes = 0;
  if (!given)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "args is null");
  if (!trec_read_struct(&args, sizeof args, given))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "args.size is %zu, expected sizeof(trec_forward_args)", given->size);
  int32_t status = trec_check_arguments(model, &args, error);
  if (status == TREC_OK)
    status = offsets_bytes(args.num_keys, args.batch_size, &bytes, error);
  if (status != TREC_OK)
    return status;
  if (args.workspace) {
    status = check_workspace(&args, bytes, error);
    return status == TREC_OK ? run(model, &args, args.workspace, error) : status;
  }
  if (bytes <= sizeof small || (args.offsets && args.offsets_type == TREC_INT64))
    return run(model, &args, small, error);
  return run_in_own_workspace(model, &args, bytes, error);
}

int32_t trec_runtime_forward(trec_model *model, const trec_forward_args *args, trec_error *error) {
  trec_error local;
  trec_error_reset(&local);
  if (model) {
    const int32_t status = forward(model, args, &local);
    atomic_fetch_add_explicit(status == TREC_OK ? &model->forwards : &model->failed, 1, memory_order_relaxed);
  } else {
    trec_fail(&local, TREC_INVALID_ARGUMENT, "model is null");
  }
  trec_error_give(error, &local);
  return local.status;
}
