/* See Cuda.h. */
#include "Cuda.h"
#include "Error.h"

#include <dlfcn.h>
#include <string.h>

static const char *reason_of(const struct trec_cuda *cuda, int result) {
  const char *reason = NULL;
  cuda->cuGetErrorString(result, &reason);
  return reason ? reason : "unknown error";
}

int32_t trec_cuda_check(const struct trec_cuda *cuda, int result, const char *doing, trec_error *error) {
  if (!result)
    return TREC_OK;
  const int32_t status = result == TREC_CUDA_OUT_OF_MEMORY ? TREC_OUT_OF_MEMORY : TREC_GPU_ERROR;
  return trec_fail(error, status, "GPU: cannot %s: %s (CUDA error %d)", doing, reason_of(cuda, result), result);
}

/* Where each function is to be put. */
static const struct {
  const char *symbol;
  size_t place;
} functions[] = {
#define TREC_CUDA_FUNCTION(name, symbol, parameters) {symbol, offsetof(struct trec_cuda, name)},
#include "CudaFunctions.def"
#undef TREC_CUDA_FUNCTION
};

static int32_t find_functions(struct trec_cuda *cuda, void *driver, trec_error *error) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; ++i) {
    void *found = dlsym(driver, functions[i].symbol);
    if (!found)
      return trec_fail(error, TREC_UNSUPPORTED_GPU,
                       "the GPU driver is too old: it has no %s, expected CUDA %d.%d or later", functions[i].symbol,
                       TREC_CUDA_OLDEST_DRIVER / 1000, TREC_CUDA_OLDEST_DRIVER % 1000 / 10);
    memcpy((char *)cuda + functions[i].place, &found, sizeof found);
  }
  return TREC_OK;
}

int32_t trec_cuda_open(struct trec_cuda *cuda, trec_error *error) {
  int version = 0;
  void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver) {
    const char *reason = dlerror();
    return trec_fail(error, TREC_UNSUPPORTED_GPU, "no GPU driver: %s",
                     trec_show(reason ? reason : "unknown error").text);
  }
  const int32_t status = find_functions(cuda, driver, error);
  if (status != TREC_OK)
    return status;
  const int result = cuda->cuInit(0);
  if (result)
    return trec_fail(error, TREC_UNSUPPORTED_GPU, "the GPU driver cannot be used: %s (CUDA error %d)",
                     reason_of(cuda, result), result);
  if (cuda->cuDriverGetVersion(&version) || version < TREC_CUDA_OLDEST_DRIVER)
    return trec_fail(error, TREC_UNSUPPORTED_GPU,
                     "the GPU driver is too old: it is for CUDA %d.%d, expected %d.%d or later", version / 1000,
                     version % 1000 / 10, TREC_CUDA_OLDEST_DRIVER / 1000, TREC_CUDA_OLDEST_DRIVER % 1000 / 10);
  return TREC_OK;
}
