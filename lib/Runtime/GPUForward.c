/* Forward on a GPU: what it takes is put on the caller's stream, and nothing is waited for, so that it can be captured
 * in a graph. No array but a new order of keys is sent to the device: a launch brings all that differs between calls.
 */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>
#include <string.h>

/* Blocks that all lookups together have at least, where there are ids for them: some for each processor. Lengths are on
 * the device, and one lookup may have most of the ids. */
enum { MIN_BLOCKS = 1024 };

/* A launch of no more blocks leaves a large device idle now and then: what counts is how long one bag takes. */
enum { FEW_BLOCKS = 2048 };

/* Blocks of a multiprocessor that run at the same time: up to as many, bags have one each. A long one then takes less
 * time, and where all are short, more blocks would take more. */
enum { SHARED_BLOCKS_PER_MULTIPROCESSOR = 8 };

/* Where bags of so many ids are promised, they come first, and blocks of short ones follow while they run: there may be
 * twice as many blocks. */
enum { LONG_BAG = 32 };

/* Lengths that one block adds up no later than two launches of several do, in tiles of scan_lengths_per_block. */
enum { SCAN_TILES_OF_ONE_BLOCK = 2 };

static int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The work of one call. */
struct call {
  const struct trec_job *job;
  struct trec_gpu *gpu;
  void *stream;
  trec_device_address sums; /* memory for those of scans, which take turns */
  struct trec_gpu_launch launch;
  int64_t blocks;   /* of launch */
  int64_t next_bag; /* behind the last lookup of launch */
  int64_t piece;    /* of the lookups of launch */
  int schedule;     /* TREC_GPU_MANY_BAGS, … */
};

/* Samples, or without pooling ids, of one block. */
static int64_t bags_per_block(const struct call *call, const struct trec_gpu_group *group) {
  return group->bags_per_block[call->schedule];
}

/* A lookup's samples, or its ids if all had equally many. */
static int64_t blocks_per_bag(const struct call *call, const struct trec_gpu_group *group) {
  const struct trec_image *image = call->job->model->image;
  const trec_batch *batch = &call->job->batches[group->batch].args;
  const int64_t most = call->gpu->max_blocks / image->num_bags;
  if (!image->unpooled)
    return divide_up(call->job->args->batch_size, bags_per_block(call, group));
  const int64_t needed = divide_up(batch->num_values, bags_per_block(call, group));
  int64_t blocks = divide_up(needed, batch->num_keys ? batch->num_keys : 1);
  if (blocks * image->num_bags < MIN_BLOCKS)
    blocks = smaller(needed, divide_up(MIN_BLOCKS, image->num_bags));
  return smaller(blocks ? blocks : 1, most);
}

/* Of all lookups, by a schedule. */
static int64_t count_blocks(const struct call *call, int schedule) {
  int64_t blocks = 0;
  for (int64_t i = 0; i < call->gpu->num_groups; ++i) {
    const struct trec_gpu_group *group = &call->gpu->groups[i];
    blocks += divide_up(call->job->args->batch_size, group->bags_per_block[schedule]) * group->num_bags;
  }
  return blocks;
}

static int choose_schedule(const struct call *call) {
  const struct trec_gpu_image *image = call->job->model->image->gpu;
  const int64_t at_once = SHARED_BLOCKS_PER_MULTIPROCESSOR * call->gpu->multiprocessors;
  const int64_t most = call->gpu->longest_promised >= LONG_BAG ? 2 * at_once : at_once;
  if (image->has_shared_kernels && count_blocks(call, TREC_GPU_SHARED_BAGS) <= most)
    return TREC_GPU_SHARED_BAGS;
  return image->has_few_kernels && count_blocks(call, TREC_GPU_MANY_BAGS) <= FEW_BLOCKS ? TREC_GPU_FEW_BAGS
                                                                                        : TREC_GPU_MANY_BAGS;
}

static void set_output(struct trec_gpu_launch *launch, int64_t i, void *output, int64_t extent) {
  launch->outputs[i] = output;
  launch->output_extents[i] = output ? extent : 0;
}

/* Without pooling: how many rows the caller's buffer holds. */
static int64_t rows_that_fit(const struct trec_job *job, int64_t output) {
  const int64_t row_bytes = job->model->bags[output].dim * job->model->element_bytes;
  return job->args->outputs_bytes ? (int64_t)(job->args->outputs_bytes[output] / (uint64_t)row_bytes) : 0;
}

/* The outputs of one piece. */
static void set_outputs(struct call *call, int64_t piece) {
  const struct trec_image *image = call->job->model->image;
  const trec_forward_args *args = call->job->args;
  const int64_t total = image->unpooled ? image->num_bags : image->num_outputs, first = piece * TREC_GPU_MAX_OUTPUTS;
  call->launch.first_output = first;
  if (!total)
    set_output(&call->launch, 0, args->output, call->job->row_stride);
  for (int64_t i = first; i < smaller(total, first + TREC_GPU_MAX_OUTPUTS); ++i)
    set_output(&call->launch, i - first, args->outputs ? args->outputs[i] : NULL,
               image->unpooled ? rows_that_fit(call->job, i) : image->outputs[i].dim);
}

/* The window goes with each launch, so that a graph that captures it has it too. */
static int launch(struct call *call, void *kernel) {
  const struct trec_gpu *gpu = call->gpu;
  const unsigned blocks = (unsigned)call->blocks, threads = (unsigned)call->job->model->image->gpu->threads_per_block;
  void *parameters[] = {&call->launch};
  if (!gpu->window.bytes)
    return gpu->cuda.cuLaunchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0, call->stream, parameters, NULL);
  struct trec_cuda_launch_attribute window = {.id = TREC_CUDA_ACCESS_WINDOW, .value.window = gpu->window};
  const struct trec_cuda_launch given = {blocks, 1, 1, threads, 1, 1, 0, call->stream, &window, 1};
  return gpu->cuda.cuLaunchKernelEx(&given, kernel, parameters, NULL);
}

static int32_t flush(struct call *call, void *kernel, trec_error *error) {
  if (!call->blocks)
    return TREC_OK;
  set_outputs(call, call->piece);
  const int result = launch(call, kernel);
  call->launch.num_spans = call->blocks = 0;
  return trec_cuda_check(&call->gpu->cuda, result, "launch the model", error);
}

/* So that kernels divide by `blocks` without a division: with shift 31 + ceil(log2(blocks)) the multiplier has 32 bits,
 * and what it is too great by, times any n below 2^31, is less than 2^shift. */
static void set_divisor(struct trec_gpu_span *span, int64_t blocks) {
  span->shift = 31;
  while (((int64_t)1 << (span->shift - 31)) < blocks)
    ++span->shift;
  span->multiplier = divide_up((int64_t)1 << span->shift, blocks);
}

/* Adds `count` lookups of a group from its `first` on. Spans hold equally many blocks for each lookup; what goes on
 * where the last span ends is added to it. */
static void add_bags(struct call *call, const struct trec_gpu_group *group, int64_t first, int64_t count) {
  struct trec_gpu_launch *launch = &call->launch;
  const int64_t each = blocks_per_bag(call, group), bag = group->first_bag + first;
  if (!call->blocks || call->next_bag != bag || launch->spans[launch->num_spans - 1].blocks_per_bag != each) {
    struct trec_gpu_span *span = &launch->spans[launch->num_spans++];
    *span = (struct trec_gpu_span){call->blocks, each, bag, 0, 0};
    set_divisor(span, each);
  }
  call->blocks += each * count;
  call->next_bag = bag + count;
  call->piece = group->piece;
}

/* Adds a group's lookups, and launches what is there where not all of them fit. */
static int32_t add_group(struct call *call, const struct trec_gpu_group *group, void *kernel, trec_error *error) {
  const int64_t each = blocks_per_bag(call, group);
  for (int64_t first = 0; first < group->num_bags;) {
    const int64_t room = (call->gpu->max_blocks - call->blocks) / each;
    const int is_full = !room || call->launch.num_spans == TREC_GPU_MAX_SPANS;
    if (call->blocks && (is_full || group->piece != call->piece)) {
      const int32_t status = flush(call, kernel, error);
      if (status != TREC_OK)
        return status;
      continue;
    }
    const int64_t count = smaller(room, group->num_bags - first);
    add_bags(call, group, first, count);
    first += count;
  }
  return TREC_OK;
}

/* All lookups whose ids are of one type. */
static int32_t launch_variant(struct call *call, int variant, trec_error *error) {
  struct trec_gpu *gpu = call->gpu;
  void *kernel = gpu->forward[call->schedule][variant];
  int32_t status = TREC_OK;
  for (int64_t i = 0; i < gpu->num_groups && status == TREC_OK; ++i)
    if (call->job->batches[gpu->groups[i].batch].variant == variant)
      status = add_group(call, &gpu->groups[i], kernel, error);
  return status == TREC_OK ? flush(call, kernel, error) : status;
}

/* The lengths of a batch and where their offsets are to be. */
static struct trec_gpu_scan describe_lengths(const struct call *call, int64_t batch, trec_device_address offsets) {
  const trec_batch *args = &call->job->batches[batch].args;
  return (struct trec_gpu_scan){.lengths = args->lengths,
                                .lengths_bytes = args->lengths_type == TREC_INT64 ? 8 : 4,
                                .count = args->num_keys * call->job->args->batch_size,
                                .num_values = args->num_values,
                                .offsets = (int64_t *)(uintptr_t)offsets,
                                .report = call->launch.report,
                                .batch = batch,
                                .sums = (int64_t *)(uintptr_t)call->sums};
}

static int32_t scan_lengths(struct call *call, int64_t batch, trec_device_address offsets, trec_error *error) {
  const struct trec_gpu_image *image = call->job->model->image->gpu;
  struct trec_gpu_scan scan = describe_lengths(call, batch, offsets);
  const int64_t tiles = divide_up(scan.count, image->scan_lengths_per_block);
  const int64_t tiles_per_block =
      tiles > SCAN_TILES_OF_ONE_BLOCK ? divide_up(tiles, TREC_GPU_SCAN_BLOCKS) : SCAN_TILES_OF_ONE_BLOCK;
  const int64_t blocks = tiles ? divide_up(tiles, tiles_per_block) : 1;
  void *parameters[] = {&scan};
  int result = 0;
  scan.lengths_per_block = tiles_per_block * image->scan_lengths_per_block;
  for (scan.writes_sums = blocks > 1; scan.writes_sums >= 0 && !result; --scan.writes_sums)
    result =
        call->gpu->cuda.cuLaunchKernel(call->gpu->scan, (unsigned)blocks, 1, 1, (unsigned)image->scan_threads_per_block,
                                       1, 1, 0, call->stream, parameters, NULL);
  return trec_cuda_check(&call->gpu->cuda, result, "launch the sum of lengths", error);
}

static int64_t count_features(const struct trec_image *image, int64_t batch) {
  int64_t count = 0;
  for (int64_t i = 0; i < image->num_features; ++i)
    count += image->features[i].batch == batch;
  return count;
}

/* Sets a batch of the launch; *offsets is memory for those of lengths, and is moved on. */
static int32_t set_batch(struct call *call, int64_t i, trec_device_address *offsets, trec_error *error) {
  const trec_batch *args = &call->job->batches[i].args;
  const struct trec_image *image = call->job->model->image;
  struct trec_gpu_batch *to = &call->launch.batches[i];
  trec_device_address slots = 0;
  int32_t status = TREC_OK;
  *to = (struct trec_gpu_batch){
      args->values, args->num_values, args->offsets, args->offsets_type == TREC_INT64 ? 8 : 4, args->weights,
      NULL,         args->num_keys};
  if (args->slots)
    status = trec_gpu_find_slots(call->gpu, args->slots, count_features(image, i), &slots, error);
  to->slots = (const int32_t *)(uintptr_t)slots;
  if (status != TREC_OK || args->offsets)
    return status;
  to->offsets = (const void *)(uintptr_t)*offsets;
  to->offsets_bytes = 8;
  status = scan_lengths(call, i, *offsets, error);
  *offsets += ((size_t)args->num_keys * (size_t)call->job->args->batch_size + 1) * sizeof(int64_t);
  return status;
}

static int32_t launch_all(struct call *call, trec_device_address workspace, trec_error *error) {
  trec_device_address offsets = workspace + TREC_GPU_SCAN_BLOCKS * sizeof(int64_t);
  int32_t status = TREC_OK;
  call->sums = workspace;
  for (int64_t i = 0; i < call->launch.num_batches && status == TREC_OK; ++i)
    status = set_batch(call, i, &offsets, error);
  for (int variant = 0; variant < TREC_KERNEL_VARIANTS && status == TREC_OK; ++variant)
    status = launch_variant(call, variant, error);
  return status;
}

static int has_lengths(const struct trec_job *job) {
  for (int64_t i = 0; i < job->model->image->num_batches; ++i)
    if (job->batches[i].args.lengths)
      return 1;
  return 0;
}

/* With offsets in memory that is taken and given back in the order of the stream. */
static int32_t launch_with_own_offsets(struct call *call, uint64_t bytes, trec_error *error) {
  const struct trec_cuda *cuda = &call->gpu->cuda;
  trec_device_address workspace = 0;
  int32_t status =
      trec_cuda_check(cuda, cuda->cuMemAllocFromPoolAsync(&workspace, bytes, call->gpu->pool, call->stream),
                      "take memory for offsets", error);
  if (status != TREC_OK)
    return status;
  status = launch_all(call, workspace, error);
  const int result = cuda->cuMemFreeAsync(workspace, call->stream);
  return status == TREC_OK ? trec_cuda_check(cuda, result, "give back memory of offsets", error) : status;
}

/* Kernels count in 32 bits. */
static int32_t check_counts(const struct trec_job *job, trec_error *error) {
  const int64_t most = INT32_MAX - UINT16_MAX, batch_size = job->args->batch_size;
  for (int64_t i = 0; i < job->model->image->num_batches; ++i) {
    const trec_batch *args = &job->batches[i].args;
    if (args->num_values <= most && batch_size <= most && args->num_keys <= most / batch_size)
      continue;
    trec_fail(error, TREC_INVALID_ARGUMENT,
              "%" PRId64 " values, %" PRId64 " keys of %" PRId64 " samples: a GPU takes at most %" PRId64
              " values and lengths",
              args->num_values, args->num_keys, batch_size, most);
    return trec_fail_batch(job->model->image, i, error);
  }
  return TREC_OK;
}

/* Without samples there is nothing to launch, and nothing that the device could find wrong but surplus values. */
static int32_t check_empty(const struct trec_job *job, trec_error *error) {
  for (int64_t i = 0; i < job->model->image->num_batches; ++i) {
    const int64_t values = job->batches[i].args.num_values;
    if (!values)
      continue;
    error->value = 0;
    error->limit = values;
    trec_fail(error, TREC_INVALID_INPUT, "no samples, but there are %" PRId64 " values: surplus values", values);
    return trec_fail_batch(job->model->image, i, error);
  }
  return TREC_OK;
}

int32_t trec_gpu_forward(const struct trec_job *job, uint64_t workspace_bytes, trec_error *error) {
  struct trec_gpu *gpu = job->model->gpu;
  struct call call = {.job = job, .gpu = gpu, .stream = job->args->stream};
  if (job->args->batch_size == 0 || job->model->image->num_bags == 0)
    return check_empty(job, error);
  const int32_t counted = check_counts(job, error);
  if (counted != TREC_OK)
    return counted;
  call.launch.bags = (const struct trec_gpu_bag *)(uintptr_t)gpu->bags;
  call.launch.report = (struct trec_gpu_report *)(uintptr_t)gpu->report_address;
  call.launch.batch_size = job->args->batch_size;
  call.schedule = choose_schedule(&call);
  call.launch.num_batches = job->model->image->num_batches;
  const struct trec_gpu_scope scope = trec_gpu_enter(gpu);
  const int32_t status = has_lengths(job) && !job->args->workspace
                             ? launch_with_own_offsets(&call, workspace_bytes, error)
                             : launch_all(&call, (uintptr_t)job->args->workspace, error);
  trec_gpu_leave(gpu, scope);
  return status;
}
