// What tests of the runtime's work on GPUs share: test images with code for the stand-in of the driver, and models on
// it.
#ifndef TREC_TEST_RUNTIME_GPU_SUPPORT_H
#define TREC_TEST_RUNTIME_GPU_SUPPORT_H

#include "FakeCuda.h"
#include "Variants.h"

#include "trec/Runtime/DeviceABI.h"

namespace trectest {

/// What the dynamic loader finds in the next calls of it.
extern bool driverIsMissing;
extern std::string hiddenFunction;

/// A copy of a test image that has code for GPUs: cubins for sm_80 and sm_90, and PTX of sm_80.
struct GPUImage {
  explicit GPUImage(const struct trec_image &image = ::trec_image);
  GPUImage(const GPUImage &) = delete;
  operator const struct trec_image &() const { return image; }
  std::vector<trec_gpu_binary> binaries;
  std::vector<trec_gpu_kernel_desc> kernels;
  trec_gpu_image gpu;
  struct trec_image image;
};

/// A good machine before each test, and nothing left on it after one.
class GPU : public testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;

  /// Options for a model on GPU 0.
  static trec_create_options onGPU();

  /// Forward, and all that it has put on the stream.
  int32_t forward(trec_model *model, const trec_forward_args &args);

  fake_cuda &cuda = *state();
  Error error;

private:
  static fake_cuda *state();
};

/// Does what is queued on the stand-in.
void runQueue();

} // namespace trectest

#endif // TREC_TEST_RUNTIME_GPU_SUPPORT_H
