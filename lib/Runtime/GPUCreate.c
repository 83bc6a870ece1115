/* Opening a GPU for a model: driver, device, the code for it; and closing it again. */
#include "Error.h"
#include "GPU.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trec_gpu_scope trec_gpu_enter(const struct trec_gpu *gpu) {
  void *current = NULL;
  struct trec_gpu_scope scope = {0};
  gpu->cuda.cuCtxGetCurrent(&current);
  if (current != gpu->context)
    scope.is_pushed = !gpu->cuda.cuCtxPushCurrent(gpu->context);
  return scope;
}

void trec_gpu_leave(const struct trec_gpu *gpu, struct trec_gpu_scope scope) {
  void *context;
  if (scope.is_pushed)
    gpu->cuda.cuCtxPopCurrent(&context);
}

static int32_t find_device(struct trec_gpu *gpu, int32_t index, trec_error *error) {
  const struct trec_cuda *cuda = &gpu->cuda;
  int count = 0, major = 0, minor = 0, max_blocks = 0, multiprocessors = 0;
  int32_t status = trec_cuda_check(cuda, cuda->cuDeviceGetCount(&count), "count devices", error);
  if (status != TREC_OK)
    return status;
  if (index < 0 || index >= count)
    return trec_fail(error, TREC_UNSUPPORTED_GPU, "device_index is %d, but there %s %d GPU%s", index,
                     count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
  gpu->index = index;
  int result = cuda->cuDeviceGet(&gpu->device, index);
  if (!result)
    result = cuda->cuDeviceGetName(gpu->name, sizeof gpu->name, gpu->device);
  if (!result)
    result = cuda->cuDeviceGetAttribute(&major, TREC_CUDA_MAJOR, gpu->device);
  if (!result)
    result = cuda->cuDeviceGetAttribute(&minor, TREC_CUDA_MINOR, gpu->device);
  if (!result)
    result = cuda->cuDeviceGetAttribute(&max_blocks, TREC_CUDA_MAX_GRID, gpu->device);
  if (!result)
    result = cuda->cuDeviceGetAttribute(&multiprocessors, TREC_CUDA_MULTIPROCESSORS, gpu->device);
  gpu->capability = major * 10 + minor;
  gpu->max_blocks = max_blocks;
  gpu->multiprocessors = multiprocessors;
  return trec_cuda_check(cuda, result, "ask the device", error);
}

/* A cubin runs on later minor versions of its major one; the driver compiles PTX for any later chip. */
static int runs_on(const struct trec_gpu_binary *binary, int64_t capability) {
  return binary->capability <= capability && (binary->is_ptx || binary->capability / 10 == capability / 10);
}

static int is_better(const struct trec_gpu_binary *binary, const struct trec_gpu_binary *than) {
  if (!than || binary->is_ptx != than->is_ptx)
    return !than || than->is_ptx;
  return binary->capability > than->capability;
}

static int32_t no_code(const struct trec_gpu *gpu, const struct trec_image *image, trec_error *error) {
  char chips[128] = "";
  size_t used = 0;
  for (int64_t i = 0; i < image->gpu->num_binaries && used < sizeof chips; ++i) {
    const struct trec_gpu_binary *binary = &image->gpu->binaries[i];
    used += (size_t)snprintf(chips + used, sizeof chips - used, "%s%s%s", i ? ", " : "", binary->chip,
                             binary->is_ptx ? " (PTX)" : "");
  }
  return trec_fail(error, TREC_UNSUPPORTED_GPU,
                   "model \"%s\" has no code for GPU %d (%s, compute capability %d.%d), it has code for %s",
                   trec_show(image->name).text, gpu->index, trec_show(gpu->name).text, gpu->capability / 10,
                   gpu->capability % 10, chips);
}

static int32_t find_kernel(const struct trec_gpu *gpu, const char *name, void **kernel, trec_error *error) {
  char doing[64];
  snprintf(doing, sizeof doing, "find %s", name);
  return trec_cuda_check(&gpu->cuda, gpu->cuda.cuModuleGetFunction(kernel, gpu->module, name), doing, error);
}

/* Those of a model's schedules. */
static int32_t find_kernels(struct trec_gpu *gpu, const struct trec_gpu_image *image, trec_error *error) {
  static const char *const names[TREC_GPU_SCHEDULES][TREC_KERNEL_VARIANTS] = {
      [TREC_GPU_MANY_BAGS] = {"trec_forward_i32", "trec_forward_i64"},
      [TREC_GPU_FEW_BAGS] = {"trec_forward_few_i32", "trec_forward_few_i64"},
      [TREC_GPU_SHARED_BAGS] = {"trec_forward_shared_i32", "trec_forward_shared_i64"}};
  const int64_t has[TREC_GPU_SCHEDULES] = {1, image->has_few_kernels, image->has_shared_kernels};
  int32_t status = TREC_OK;
  for (int i = 0; i < TREC_GPU_SCHEDULES; ++i)
    for (int variant = 0; variant < TREC_KERNEL_VARIANTS && has[i] && status == TREC_OK; ++variant)
      status = find_kernel(gpu, names[i][variant], &gpu->forward[i][variant], error);
  return status == TREC_OK ? find_kernel(gpu, "trec_scan_lengths", &gpu->scan, error) : status;
}

static int32_t load_code(struct trec_gpu *gpu, const struct trec_image *image, trec_error *error) {
  const struct trec_cuda *cuda = &gpu->cuda;
  const struct trec_gpu_binary *best = NULL;
  for (int64_t i = 0; i < image->gpu->num_binaries; ++i)
    if (runs_on(&image->gpu->binaries[i], gpu->capability) && is_better(&image->gpu->binaries[i], best))
      best = &image->gpu->binaries[i];
  if (!best)
    return no_code(gpu, image, error);
  const int32_t status = trec_cuda_check(cuda, cuda->cuModuleLoadData(&gpu->module, best->code),
                                         best->is_ptx ? "compile the model's PTX" : "load the model's code", error);
  return status == TREC_OK ? find_kernels(gpu, image->gpu, error) : status;
}

static int32_t make_report(struct trec_gpu *gpu, trec_error *error) {
  const struct trec_cuda *cuda = &gpu->cuda;
  void *memory = NULL;
  int result = cuda->cuMemHostAlloc(&memory, sizeof *gpu->report, TREC_CUDA_PORTABLE | TREC_CUDA_MAPPED);
  if (!result) {
    gpu->report = memory;
    memset(memory, 0, sizeof *gpu->report);
    gpu->report->epoch = 1;
    result = cuda->cuMemHostGetDevicePointer(&gpu->report_address, memory, 0);
  }
  return trec_cuda_check(cuda, result, "map memory for reports", error);
}

/* Offsets of one call are freed in the order of its stream; a pool of our own keeps the memory for the next. */
static int32_t make_pool(struct trec_gpu *gpu, trec_error *error) {
  const struct trec_cuda *cuda = &gpu->cuda;
  const struct trec_cuda_pool properties = {
      .allocation_type = TREC_CUDA_PINNED, .location_type = TREC_CUDA_ON_DEVICE, .location = gpu->device};
  uint64_t all = UINT64_MAX;
  int result = cuda->cuMemPoolCreate(&gpu->pool, &properties);
  if (!result)
    result = cuda->cuMemPoolSetAttribute(gpu->pool, TREC_CUDA_RELEASE_THRESHOLD, &all);
  if (!result)
    result = cuda->cuStreamCreate(&gpu->stream, TREC_CUDA_NON_BLOCKING);
  return trec_cuda_check(cuda, result, "make a memory pool", error);
}

static int32_t open_device(trec_model *model, const trec_create_options *options, trec_error *error) {
  struct trec_gpu *gpu = model->gpu;
  int32_t status = trec_cuda_open(&gpu->cuda, error);
  if (status == TREC_OK)
    status = find_device(gpu, options->device_index, error);
  if (status == TREC_OK)
    status = trec_cuda_check(&gpu->cuda, gpu->cuda.cuDevicePrimaryCtxRetain(&gpu->context, gpu->device),
                             "take the device's context", error);
  if (status != TREC_OK)
    return status;
  const struct trec_gpu_scope scope = trec_gpu_enter(gpu);
  status = load_code(gpu, model->image, error);
  if (status == TREC_OK)
    status = make_report(gpu, error);
  if (status == TREC_OK)
    status = make_pool(gpu, error);
  if (status == TREC_OK)
    status = trec_gpu_set_cache(gpu, options, error);
  trec_gpu_leave(gpu, scope);
  return status;
}

int32_t trec_gpu_open(trec_model *model, const trec_create_options *options, trec_error *error) {
  if (!model->image->gpu)
    return trec_fail(error, TREC_UNSUPPORTED_GPU, "model \"%s\" has no code for GPUs: compile it with --gpu",
                     trec_show(model->image->name).text);
  model->gpu = calloc(1, sizeof *model->gpu);
  if (!model->gpu)
    return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for a model on a GPU");
  pthread_mutex_init(&model->gpu->mutex, NULL);
  return open_device(model, options, error);
}

int32_t trec_gpu_read(const struct trec_gpu *gpu, void *to, const void *from, size_t bytes, trec_error *error) {
  const struct trec_gpu_scope scope = trec_gpu_enter(gpu);
  const int result = gpu->cuda.cuMemcpyDtoH(to, (uintptr_t)from, bytes);
  trec_gpu_leave(gpu, scope);
  return trec_cuda_check(&gpu->cuda, result, "read parameters on the device", error);
}

/* Calls whose kernels read them are done when device memory has been freed. */
static void free_host_tables(const struct trec_gpu *gpu, int64_t count) {
  for (int64_t i = 0; i < count && gpu->host_tables; ++i)
    if (gpu->host_tables[i])
      gpu->cuda.cuMemFreeHost(gpu->host_tables[i]);
}

/* A garbage collector may be what destroys a model, while this thread or another captures a graph, to which freeing
 * memory would put an end unless it is said to be no part of it. */
static void release_device(struct trec_gpu *gpu, int64_t num_tables) {
  const struct trec_cuda *cuda = &gpu->cuda;
  const struct trec_gpu_scope scope = trec_gpu_enter(gpu);
  int mode = TREC_CUDA_RELAXED;
  cuda->cuThreadExchangeStreamCaptureMode(&mode);
  trec_gpu_free_slots(gpu);
  if (gpu->memory)
    cuda->cuMemFree(gpu->memory); /* waits for kernels that read it */
  free_host_tables(gpu, num_tables);
  if (gpu->stream)
    cuda->cuStreamDestroy(gpu->stream);
  if (gpu->pool)
    cuda->cuMemPoolDestroy(gpu->pool);
  if (gpu->report)
    cuda->cuMemFreeHost(gpu->report);
  if (gpu->module)
    cuda->cuModuleUnload(gpu->module);
  cuda->cuThreadExchangeStreamCaptureMode(&mode);
  trec_gpu_leave(gpu, scope);
  cuda->cuDevicePrimaryCtxRelease(gpu->device);
}

void trec_gpu_close(trec_model *model) {
  struct trec_gpu *gpu = model->gpu;
  if (!gpu)
    return;
  if (gpu->context)
    release_device(gpu, model->image->num_tables);
  pthread_mutex_destroy(&gpu->mutex);
  free(gpu->places);
  free(gpu->host_tables);
  free(gpu->persistent_bytes);
  free(gpu->order);
  free(gpu->groups);
  free(gpu);
}
