//===- Device.cpp - Batches and outputs on a GPU --------------------------===//

#include "trec/Run/Device.h"
#include "trec/Run/Model.h"

extern "C" {
#include "Cuda.h"
}

using namespace mlir;
using namespace mlir::trec;
using llvm::Error;
using llvm::Expected;

/// CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE
static constexpr int cacheAttribute = 38;

Device::Device() : cuda(std::make_unique<trec_cuda>()) {}

Expected<std::shared_ptr<Device>> Device::open(int index) {
  std::shared_ptr<Device> device(new Device());
  if (Error error = device->start(index))
    return error;
  return device;
}

Error Device::start(int index) {
  trec_error error{};
  if (trec_cuda_open(cuda.get(), &error) != TREC_OK)
    return llvm::createStringError(error.message);
  int count = 0;
  if (Error failure = check(cuda->cuDeviceGetCount(&count), "count GPUs"))
    return failure;
  if (index >= count)
    return llvm::createStringError(
        "expected one of the GPUs of this machine, of which there %s %d, got "
        "GPU %d",
        count == 1 ? "is" : "are", count, index);
  if (Error failure = check(cuda->cuDeviceGet(&device, index), "find the GPU"))
    return failure;
  if (Error failure = check(cuda->cuDevicePrimaryCtxRetain(&context, device),
                            "take the GPU's context"))
    return failure;
  if (Error failure =
          check(cuda->cuCtxPushCurrent(context), "use the GPU's context"))
    return failure;
  return check(cuda->cuStreamCreate(&stream, TREC_CUDA_NON_BLOCKING),
               "make a stream");
}

Device::~Device() {
  void *current;
  if (stream) {
    cuda->cuStreamDestroy(stream);
    cuda->cuCtxPopCurrent(&current);
  }
  if (context)
    cuda->cuDevicePrimaryCtxRelease(device);
}

Error Device::check(int result, const char *doing) const {
  trec_error error{};
  if (trec_cuda_check(cuda.get(), result, doing, &error) == TREC_OK)
    return Error::success();
  return llvm::createStringError(error.message);
}

int64_t Device::getAttribute(int attribute) const {
  int value = 0;
  cuda->cuDeviceGetAttribute(&value, attribute, device);
  return value;
}

int64_t Device::countCacheBytes() const { return getAttribute(cacheAttribute); }

int64_t Device::getCapability() const {
  return getAttribute(TREC_CUDA_MAJOR) * 10 + getAttribute(TREC_CUDA_MINOR);
}

std::string Device::getName() const {
  char name[64] = "";
  cuda->cuDeviceGetName(name, sizeof(name), device);
  return name;
}

Expected<uint64_t> Device::allocate(size_t bytes) {
  trec_device_address address = 0;
  if (Error error = check(cuda->cuMemAlloc(&address, bytes ? bytes : 1),
                          "take memory for a batch"))
    return error;
  return address;
}

void Device::release(uint64_t address) { cuda->cuMemFree(address); }

Error Device::write(uint64_t to, const void *from, size_t bytes) {
  if (!bytes)
    return Error::success();
  if (Error error = check(cuda->cuMemcpyHtoDAsync(to, from, bytes, stream),
                          "copy a batch to the GPU"))
    return error;
  return wait();
}

Error Device::read(void *to, uint64_t from, size_t bytes) {
  return bytes ? check(cuda->cuMemcpyDtoH(to, from, bytes),
                       "copy outputs from the GPU")
               : Error::success();
}

Error Device::wait() {
  return check(cuda->cuStreamSynchronize(stream), "run the model");
}

Expected<std::unique_ptr<DeviceCall>>
DeviceCall::create(std::shared_ptr<Device> device,
                   const trec_forward_args &args, size_t outputs) {
  std::unique_ptr<DeviceCall> call(new DeviceCall(std::move(device), args));
  if (Error error = call->copyInputs())
    return error;
  if (Error error = call->makeOutputs(outputs))
    return error;
  call->args.stream = call->device->getStream();
  return call;
}

DeviceCall::~DeviceCall() {
  for (uint64_t address : memory)
    device->release(address);
}

template <typename T> Error DeviceCall::copy(const T *&pointer, int64_t bytes) {
  if (!pointer)
    return Error::success();
  Expected<uint64_t> address = device->allocate(bytes);
  if (!address)
    return address.takeError();
  memory.push_back(*address);
  Error error = device->write(*address, pointer, bytes);
  pointer = reinterpret_cast<const T *>(uintptr_t(*address));
  return error;
}

static int64_t getBytes(int32_t type) { return type == TREC_INT32 ? 4 : 8; }

Error DeviceCall::copyBatch(trec_batch &batch) {
  int64_t bags = batch.num_keys * args.batch_size;
  if (Error error =
          copy(batch.values, batch.num_values * getBytes(batch.values_type)))
    return error;
  if (Error error = copy(batch.lengths, bags * getBytes(batch.lengths_type)))
    return error;
  if (Error error =
          copy(batch.offsets, (bags + 1) * getBytes(batch.offsets_type)))
    return error;
  return copy(batch.weights, batch.num_weights * int64_t(sizeof(float)));
}

Error DeviceCall::copyInputs() {
  batches = getBatches(args);
  for (trec_batch &batch : batches)
    if (Error error = copyBatch(batch))
      return error;
  setBatches(args, batches);
  return Error::success();
}

Error DeviceCall::makeOutput(void *&pointer, size_t bytes) {
  Expected<uint64_t> address = device->allocate(bytes);
  if (!address)
    return address.takeError();
  memory.push_back(*address);
  outputs.push_back({pointer, *address, bytes});
  // What is not written keeps the caller's bytes.
  Error error = device->write(*address, pointer, bytes);
  pointer = reinterpret_cast<void *>(uintptr_t(*address));
  return error;
}

Error DeviceCall::makeOutputs(size_t count) {
  if (args.output)
    return makeOutput(args.output, args.output_bytes);
  for (size_t i = 0; i < count; ++i) {
    outputPointers.push_back(args.outputs[i]);
    if (Error error = makeOutput(outputPointers.back(), args.outputs_bytes[i]))
      return error;
  }
  args.outputs = outputPointers.data();
  return Error::success();
}

Error DeviceCall::fetch() {
  if (Error error = device->wait())
    return error;
  for (const Output &output : outputs)
    if (Error error = device->read(output.host, output.device, output.bytes))
      return error;
  return Error::success();
}
