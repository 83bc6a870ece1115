// See GPUSupport.h. The linker routes the runtime's calls of the dynamic loader through the __wrap functions here.
#include "GPUSupport.h"

#include <dlfcn.h>

using namespace trectest;

bool trectest::driverIsMissing = false;
std::string trectest::hiddenFunction;

extern "C" {
void *__real_dlopen(const char *name, int mode);
void *__real_dlsym(void *library, const char *name);

void *__wrap_dlopen(const char *name, int mode) {
  if (std::string(name) != "libcuda.so.1")
    return __real_dlopen(name, mode);
  return __real_dlopen(driverIsMissing ? "/nowhere/libcuda.so.1" : TREC_TEST_FAKE_CUDA, mode);
}
void *__wrap_dlsym(void *library, const char *name) {
  return hiddenFunction == name ? nullptr : __real_dlsym(library, name);
}
}

/// A function of the stand-in, which lives as long as the process.
static void *lookUp(const char *name) {
  static void *library = __real_dlopen(TREC_TEST_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(library, nullptr) << dlerror();
  return __real_dlsym(library, name);
}

void trectest::runQueue() { reinterpret_cast<void (*)()>(lookUp("fake_cuda_run"))(); }

fake_cuda *GPU::state() { return reinterpret_cast<fake_cuda *(*)()>(lookUp("fake_cuda_state"))(); }

GPUImage::GPUImage(const struct trec_image &base)
    : binaries{
          {"sm_80", 80, 0, "code of sm_80", 14}, {"sm_90", 90, 0, "code of sm_90", 14}, {"sm_80", 80, 1, "PTX", 4}},
      gpu{}, image(base) {
  for (int64_t i = 0; i < base.num_kernels; ++i)
    kernels.push_back({i + 1, 16, i + 1, 1}); // as the stand-in's kernels work
  gpu.binaries = binaries.data();
  gpu.num_binaries = static_cast<int64_t>(binaries.size());
  gpu.kernels = kernels.data();
  gpu.threads_per_block = 128;
  gpu.scan_threads_per_block = 256;
  gpu.scan_lengths_per_block = 1024;
  gpu.has_few_kernels = gpu.has_shared_kernels = 1;
  image.gpu = &gpu;
}

void GPU::SetUp() {
  driverIsMissing = false;
  hiddenFunction.clear();
  reinterpret_cast<void (*)()>(lookUp("fake_cuda_reset"))();
}

void GPU::TearDown() {
  EXPECT_EQ(cuda.allocated, 0u);
  EXPECT_EQ(cuda.allocations, 0);
  EXPECT_EQ(cuda.host_allocations, 0);
  EXPECT_EQ(cuda.contexts, 0);
  EXPECT_EQ(cuda.pushed, 0);
}

trec_create_options GPU::onGPU() {
  trec_create_options options = {};
  options.device = TREC_DEVICE_CUDA;
  return options;
}

int32_t GPU::forward(trec_model *model, const trec_forward_args &args) {
  const int32_t status = trec_runtime_forward(model, &args, &error);
  runQueue();
  return status;
}
