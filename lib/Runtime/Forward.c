/* Forward: check, resolve offsets, run kernels, report. The way of a small batch, some tens of bags on one thread, has
 * no lock, no allocation and no system call. */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>
#include <stdlib.h>

/* Offsets of smaller batches lie on the stack. */
enum { STACK_OFFSETS = 1024, WORKSPACE_ALIGNMENT = 64 };

/* Bytes for num_keys * batch_size offsets, and one more for each batch; on a GPU also for the sums that they are made
 * of. */
static int32_t offsets_bytes(const trec_model *model, int64_t num_keys, int64_t batch_size, uint64_t *bytes,
                             trec_error *error) {
  const uint64_t others = (uint64_t)model->image->num_batches + (model->gpu ? TREC_GPU_SCAN_BLOCKS : 0);
  int64_t count;
  if (num_keys < 0 || batch_size < 0)
    return trec_fail(error, TREC_INVALID_ARGUMENT,
                     "num_keys is %" PRId64 ", batch_size is %" PRId64 ", expected 0 or more", num_keys, batch_size);
  if (__builtin_mul_overflow(num_keys, batch_size, &count) ||
      __builtin_add_overflow(count, TREC_MAX_BATCHES + TREC_GPU_SCAN_BLOCKS + WORKSPACE_ALIGNMENT, &count) ||
      __builtin_mul_overflow(count, 8, &count))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "%" PRId64 " keys of %" PRId64 " samples overflow 64 bits", num_keys,
                     batch_size);
  const uint64_t used = ((uint64_t)num_keys * (uint64_t)batch_size + others) * sizeof(int64_t);
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
    offsets_bytes(model, num_keys, batch_size, bytes, &local);
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

static int32_t resolve_batches(struct trec_job *job, int64_t *workspace, trec_error *error) {
  const struct trec_image *image = job->model->image;
  for (int64_t i = 0; i < image->num_batches; ++i) {
    struct trec_job_batch *batch = &job->batches[i];
    if (trec_resolve_offsets(image, batch, workspace, error) != TREC_OK)
      return trec_fail_batch(image, i, error);
    workspace += batch->args.num_keys * batch->size + 1;
  }
  return TREC_OK;
}

static int32_t run(trec_model *model, struct trec_job *job, int64_t *workspace, trec_error *error) {
  int32_t status = resolve_batches(job, workspace, error);
  if (status == TREC_OK && model->checks_lengths)
    status = trec_check_lengths(job, error);
  if (status == TREC_OK && model->image->unpooled)
    status = trec_check_outputs(job, error);
  if (status != TREC_OK)
    return status;
  const struct trec_bad_ids bad = trec_run_job(model, job);
  return trec_report_bad_ids(model, job, &bad, error);
}

static int32_t run_in_own_workspace(trec_model *model, struct trec_job *job, uint64_t bytes, trec_error *error) {
  int64_t *workspace = malloc(bytes);
  if (!workspace)
    return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a workspace of %" PRIu64 " bytes", bytes);
  int32_t status = run(model, job, workspace, error);
  free(workspace);
  return status;
}

/* What the batches need; nothing is written where all bring offsets that are used as they are. */
static int32_t count_workspace(const struct trec_job *job, uint64_t *bytes, int *is_used, trec_error *error) {
  int64_t num_keys = 0;
  *is_used = 0;
  for (int64_t i = 0; i < job->model->image->num_batches; ++i) {
    const trec_batch *batch = &job->batches[i].args;
    *is_used |= !batch->offsets || batch->offsets_type != TREC_INT64;
    if (__builtin_add_overflow(num_keys, batch->num_keys, &num_keys))
      return trec_fail(error, TREC_INVALID_ARGUMENT, "the keys of all batches overflow 64 bits");
  }
  return offsets_bytes(job->model, num_keys, job->args->batch_size, bytes, error);
}

/* What earlier calls left to be said comes first: nothing else is done where it is an error. */
static int32_t run_on_gpu(trec_model *model, const struct trec_job *job, uint64_t bytes, trec_error *error) {
  const int32_t status = trec_gpu_poll(model, error);
  return status == TREC_OK ? trec_gpu_forward(job, bytes, error) : status;
}

static int32_t forward(trec_model *model, const trec_forward_args *given, trec_error *error) {
  trec_forward_args args;
  struct trec_job job;
  int64_t small[STACK_OFFSETS];
  uint64_t bytes = 0;
  int is_used;
  if (!given)
    return trec_fail(error, TREC_INVALID_ARGUMENT, "args is null");
  if (!trec_read_struct(&args, sizeof args, given))
    return trec_fail(error, TREC_INVALID_ARGUMENT, "args.size is %zu, expected sizeof(trec_forward_args)", given->size);
  job.model = model;
  job.args = &args;
  job.row_stride = args.output_row_stride ? args.output_row_stride : model->image->total_dim;
  int32_t status = trec_check_arguments(&job, error);
  if (status == TREC_OK)
    status = count_workspace(&job, &bytes, &is_used, error);
  if (status != TREC_OK)
    return status;
  if (args.workspace)
    status = check_workspace(&args, bytes, error);
  if (status != TREC_OK)
    return status;
  if (model->gpu)
    return run_on_gpu(model, &job, bytes, error);
  if (args.workspace)
    return run(model, &job, args.workspace, error);
  if (bytes <= sizeof small || !is_used)
    return run(model, &job, small, error);
  return run_in_own_workspace(model, &job, bytes, error);
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
