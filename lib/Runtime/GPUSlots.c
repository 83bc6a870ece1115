/* Where the caller's keys are, on the device. A caller comes with the same few orders again and again, so that each is
 * copied once, and kept for as long as the model: a graph may have its address. */
#include "Error.h"
#include "GPU.h"

#include <stdlib.h>
#include <string.h>

int32_t trec_gpu_copy(const struct trec_gpu *gpu, trec_device_address to, const void *from, size_t bytes) {
  int result = gpu->cuda.cuMemcpyHtoDAsync(to, from, bytes, gpu->stream);
  return result ? result : gpu->cuda.cuStreamSynchronize(gpu->stream);
}

/* Memory and copies of this thread's own are no part of a graph that it captures, and may be made meanwhile. */
static int copy_new(const struct trec_gpu *gpu, struct trec_gpu_slots *made) {
  int mode = TREC_CUDA_RELAXED;
  const size_t bytes = (size_t)made->count * sizeof *made->slots;
  int result = gpu->cuda.cuThreadExchangeStreamCaptureMode(&mode);
  if (!result)
    result = gpu->cuda.cuMemAlloc(&made->address, bytes);
  if (!result)
    result = trec_gpu_copy(gpu, made->address, made->slots, bytes);
  gpu->cuda.cuThreadExchangeStreamCaptureMode(&mode);
  return result;
}

static struct trec_gpu_slots *find(struct trec_gpu_slots *known, const int32_t *slots, int64_t count) {
  while (known && (known->count != count || memcmp(known->slots, slots, (size_t)count * sizeof *slots)))
    known = known->next;
  return known;
}

static int32_t add(struct trec_gpu *gpu, const int32_t *slots, int64_t count, trec_error *error) {
  struct trec_gpu_slots *made = malloc(sizeof *made + (size_t)count * sizeof *slots);
  if (!made)
    return trec_fail(error, TREC_OUT_OF_MEMORY, "out of memory for slots");
  made->address = 0;
  made->count = count;
  memcpy(made->slots, slots, (size_t)count * sizeof *slots);
  const int32_t status = trec_cuda_check(&gpu->cuda, copy_new(gpu, made), "copy slots", error);
  made->next = gpu->slots;
  if (status == TREC_OK) {
    gpu->slots = made;
    return TREC_OK;
  }
  if (made->address)
    gpu->cuda.cuMemFree(made->address);
  free(made);
  return status;
}

int32_t trec_gpu_find_slots(struct trec_gpu *gpu, const int32_t *slots, int64_t count, trec_device_address *address,
                            trec_error *error) {
  pthread_mutex_lock(&gpu->mutex);
  struct trec_gpu_slots *known = find(gpu->slots, slots, count);
  const int32_t status = known ? TREC_OK : add(gpu, slots, count, error);
  if (status == TREC_OK)
    *address = (known ? known : gpu->slots)->address;
  pthread_mutex_unlock(&gpu->mutex);
  return status;
}

void trec_gpu_free_slots(struct trec_gpu *gpu) {
  while (gpu->slots) {
    struct trec_gpu_slots *next = gpu->slots->next;
    gpu->cuda.cuMemFree(gpu->slots->address);
    free(gpu->slots);
    gpu->slots = next;
  }
}
