//===- Device.h - Batches and outputs on a GPU ------------------*- C++ -*-===//
//
// A model on a GPU reads batches in device memory:
//
//   auto device = Device::open(0);
//   auto call = DeviceCall::create(*device, args, /*outputs=*/0); // copies
//   api.forward(model, &(*call)->getArgs(), &error);
//   (*call)->fetch(); // waits, and copies the outputs back
//
//===----------------------------------------------------------------------===//

#ifndef TREC_RUN_DEVICE_H
#define TREC_RUN_DEVICE_H

#include "trec/Runtime/ModelABI.h"

#include "llvm/Support/Error.h"

#include <memory>
#include <vector>

struct trec_cuda;

namespace mlir::trec {

/// A GPU, by the context that the models on it use, and a stream of its own.
/// Its context is the thread's as long as it is open.
class Device {
public:
  static llvm::Expected<std::shared_ptr<Device>> open(int index);
  ~Device();
  Device(const Device &) = delete;

  void *getStream() const { return stream; }
  /// "NVIDIA H200".
  std::string getName() const;
  /// 90 for 9.0; 0 where the driver does not say.
  int64_t getCapability() const;
  /// Of the second level; 0 where the driver does not say.
  int64_t countCacheBytes() const;
  llvm::Expected<uint64_t> allocate(size_t bytes);
  void release(uint64_t address);
  llvm::Error write(uint64_t to, const void *from, size_t bytes);
  llvm::Error read(void *to, uint64_t from, size_t bytes);
  /// Until all that is on the stream is done.
  llvm::Error wait();

private:
  Device();
  llvm::Error start(int index);
  int64_t getAttribute(int attribute) const;
  llvm::Error check(int result, const char *doing) const;

  std::unique_ptr<trec_cuda> cuda;
  int device = 0;
  void *context = nullptr;
  void *stream = nullptr;
};

/// What a call points to, on a device; outputs lie there until they are
/// fetched.
class DeviceCall {
public:
  /// `args` is a call in host memory, which must outlive this one, with
  /// `outputs` buffers where it has an array of them.
  static llvm::Expected<std::unique_ptr<DeviceCall>>
  create(std::shared_ptr<Device> device, const trec_forward_args &args,
         size_t outputs);
  ~DeviceCall();
  DeviceCall(const DeviceCall &) = delete;

  const trec_forward_args &getArgs() const { return args; }
  llvm::Error fetch();

private:
  /// A buffer of the caller's, and where it is on the device.
  struct Output {
    void *host;
    uint64_t device;
    size_t bytes;
  };

  DeviceCall(std::shared_ptr<Device> device, const trec_forward_args &args)
      : device(std::move(device)), args(args) {}
  llvm::Error copyInputs();
  llvm::Error copyBatch(trec_batch &batch);
  llvm::Error makeOutputs(size_t count);
  /// Makes a pointer, unless it is null, one to a copy of what it points to.
  template <typename T> llvm::Error copy(const T *&pointer, int64_t bytes);
  llvm::Error makeOutput(void *&pointer, size_t bytes);

  std::shared_ptr<Device> device;
  trec_forward_args args;
  std::vector<trec_batch> batches;
  std::vector<uint64_t> memory;
  std::vector<Output> outputs;
  std::vector<void *> outputPointers;
};

} // namespace mlir::trec

#endif // TREC_RUN_DEVICE_H
