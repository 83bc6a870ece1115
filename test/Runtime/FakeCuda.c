/* See FakeCuda.h. Every function of lib/Runtime/CudaFunctions.def is here, under the driver's name. */
#include "FakeCuda.h"
#include "FakeKernels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, CAPTURE_UNSUPPORTED = 900, RELAXED = 2 };

/* A copy, a launch, or memory to be freed, in the order of one stream. */
struct operation {
  struct operation *next;
  void *to;
  const void *from;
  void *freed;
  size_t bytes;
  int64_t blocks;
  int id_bytes; /* of a launch; 0: of lengths */
  int shares_bags;
  union {
    struct trec_gpu_launch launch;
    struct trec_gpu_scan scan;
  } argument;
};

#define GOOD_MACHINE                                                                                                   \
  {.version = 13000,                                                                                                   \
   .devices = 2,                                                                                                       \
   .capability = 90,                                                                                                   \
   .memory = 1 << 30,                                                                                                  \
   .host_memory = 1 << 30,                                                                                             \
   .max_blocks = INT32_MAX,                                                                                            \
   .max_persisting = 32 << 20,                                                                                         \
   .max_window = 128 << 20}
static struct fake_cuda state = GOOD_MACHINE;
static struct operation *first, **last = &first;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread void *current;
static __thread int mode;
enum { FUNCTIONS = 7 };
static char context, module, pool, stream, functions[FUNCTIONS];

struct fake_cuda *fake_cuda_state(void) { return &state; }

void fake_cuda_reset(void) {
  fake_cuda_run();
  state = (struct fake_cuda)GOOD_MACHINE;
}

/* Counts a call of a function that may be told to fail. */
static int fails(const char *name) {
  if (!state.failing || strcmp(state.failing, name))
    return 0;
  return state.skips-- > 0 ? 0 : state.result;
}
#define MAY_FAIL()                                                                                                     \
  do {                                                                                                                 \
    const int result = fails(__func__);                                                                                \
    if (result)                                                                                                        \
      return result;                                                                                                   \
  } while (0)

static struct operation *enqueue(void) {
  struct operation *made = calloc(1, sizeof *made);
  pthread_mutex_lock(&mutex);
  *last = made;
  last = &made->next;
  ++state.queued;
  pthread_mutex_unlock(&mutex);
  return made;
}

/* Programs cannot set the state: FAKE_CUDA_SPOILED_LAUNCH is the number of the launch whose output is wrong. */
static void forward(const struct operation *operation) {
  static int launches;
  const char *spoiled = getenv("FAKE_CUDA_SPOILED_LAUNCH");
  fake_forward(&operation->argument.launch, operation->blocks, operation->id_bytes, state.is_unpooled,
               operation->shares_bags);
  if (spoiled && ++launches == atoi(spoiled))
    ++*(unsigned char *)operation->argument.launch.outputs[0];
}

static void run(const struct operation *operation) {
  if (operation->to)
    memcpy(operation->to, operation->from, operation->bytes);
  else if (operation->blocks && operation->id_bytes)
    forward(operation);
  else if (operation->blocks)
    fake_scan(&operation->argument.scan, operation->blocks);
  else
    free(operation->freed);
}

void fake_cuda_run(void) {
  pthread_mutex_lock(&mutex);
  while (first) {
    struct operation *operation = first;
    run(operation);
    first = operation->next;
    free(operation);
  }
  last = &first;
  state.queued = 0;
  pthread_mutex_unlock(&mutex);
}

int cuInit(unsigned flags) {
  MAY_FAIL();
  return flags ? INVALID_VALUE : 0;
}
int cuDriverGetVersion(int *version) {
  *version = state.version;
  return 0;
}
int cuGetErrorString(int result, const char **text) {
  *text = result == OUT_OF_MEMORY ? "out of memory" : result == 100 ? "no CUDA-capable device is detected" : NULL;
  return *text ? 0 : INVALID_VALUE;
}
int cuDeviceGetCount(int *count) {
  MAY_FAIL();
  *count = state.devices;
  return 0;
}
int cuDeviceGet(int *device, int index) {
  *device = index;
  return 0;
}
int cuDeviceGetName(char *name, int room, int device) {
  (void)device;
  strncpy(name, "Fake H100", (size_t)room);
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  switch (attribute) {
  case 5:
    *value = state.max_blocks;
    return 0;
  case 16: /* multiprocessors */
    *value = 128;
    return 0;
  case 75:
    *value = state.capability / 10;
    return 0;
  case 76:
    *value = state.capability % 10;
    return 0;
  case 108:
    MAY_FAIL();
    *value = state.max_persisting;
    return 0;
  case 109:
    *value = state.max_window;
    return 0;
  default:
    return INVALID_VALUE;
  }
}
int cuDevicePrimaryCtxRetain(void **made, int device) {
  MAY_FAIL();
  (void)device;
  *made = &context;
  ++state.contexts;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
  (void)device;
  --state.contexts;
  return 0;
}
int cuCtxGetCurrent(void **found) {
  *found = current;
  return 0;
}
int cuCtxPushCurrent_v2(void *pushed) {
  current = pushed;
  ++state.pushed;
  return 0;
}
int cuCtxPopCurrent_v2(void **popped) {
  *popped = current;
  current = NULL;
  --state.pushed;
  return 0;
}
static size_t *find_limit(int limit) {
  return !current ? NULL : limit == 5 ? &state.l2_fetch_bytes : limit == 6 ? &state.l2_persist_bytes : NULL;
}
int cuCtxGetLimit(size_t *value, int limit) {
  MAY_FAIL();
  if (!find_limit(limit))
    return INVALID_VALUE;
  *value = *find_limit(limit);
  return 0;
}
int cuCtxSetLimit(int limit, size_t value) {
  MAY_FAIL();
  if (!find_limit(limit))
    return INVALID_VALUE;
  *find_limit(limit) = value;
  return 0;
}
int cuThreadExchangeStreamCaptureMode(int *exchanged) {
  const int before = mode;
  mode = *exchanged;
  *exchanged = before;
  return 0;
}
int cuModuleLoadData(void **made, const void *code) {
  MAY_FAIL();
  state.code = code;
  *made = &module;
  return 0;
}
int cuModuleUnload(void *unloaded) { return unloaded == &module ? 0 : INVALID_VALUE; }
int cuModuleGetFunction(void **function, void *of, const char *name) {
  static const char *const names[] = {"trec_forward_i32",       "trec_forward_i64",     "trec_scan_lengths",
                                      "trec_forward_few_i32",   "trec_forward_few_i64", "trec_forward_shared_i32",
                                      "trec_forward_shared_i64"};
  MAY_FAIL();
  for (int i = 0; i < FUNCTIONS && of == &module; ++i)
    if (!strcmp(name, names[i])) {
      *function = &functions[i];
      return 0;
    }
  return NOT_FOUND;
}
int cuMemGetInfo_v2(size_t *unused, size_t *total) {
  *unused = state.memory - state.allocated;
  *total = state.memory;
  return 0;
}

/* Device memory has its size in front of it, at the alignment that the device gives. */
enum { HEAD = 256 };

static int ends_capture(void) {
  const int ends = state.is_capturing && mode != RELAXED;
  state.ended_captures += ends;
  return ends;
}

int cuMemAlloc_v2(unsigned long long *memory, size_t bytes) {
  MAY_FAIL();
  void *made;
  if (!current)
    return INVALID_VALUE;
  if (ends_capture())
    return CAPTURE_UNSUPPORTED;
  if (bytes > state.memory - state.allocated || posix_memalign(&made, HEAD, bytes + HEAD))
    return OUT_OF_MEMORY;
  *(size_t *)made = bytes;
  memset((char *)made + HEAD, 0x5a, bytes);
  state.allocated += bytes;
  ++state.allocations;
  *memory = (uintptr_t)made + HEAD;
  return 0;
}
int cuMemFree_v2(unsigned long long memory) {
  if (ends_capture())
    return CAPTURE_UNSUPPORTED;
  fake_cuda_run();
  void *made = (char *)(uintptr_t)memory - HEAD;
  state.allocated -= *(size_t *)made;
  --state.allocations;
  free(made);
  return 0;
}
int cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
  MAY_FAIL();
  (void)flags;
  *memory = bytes > state.host_memory ? NULL : malloc(bytes);
  if (!*memory)
    return OUT_OF_MEMORY;
  ++state.host_allocations;
  return 0;
}
int cuMemFreeHost(void *memory) {
  if (ends_capture())
    return CAPTURE_UNSUPPORTED;
  fake_cuda_run();
  free(memory);
  --state.host_allocations;
  return 0;
}
int cuMemHostGetDevicePointer_v2(unsigned long long *address, void *memory, unsigned flags) {
  (void)flags;
  *address = (uintptr_t)memory;
  return 0;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *on) {
  MAY_FAIL();
  if (on != &stream)
    return INVALID_VALUE;
  struct operation *copy = enqueue();
  copy->from = from;
  copy->bytes = bytes;
  copy->to = (void *)(uintptr_t)to;
  ++state.copies;
  return 0;
}
int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t bytes) {
  MAY_FAIL();
  fake_cuda_run();
  memcpy(to, (const void *)(uintptr_t)from, bytes);
  return 0;
}
int cuMemPoolCreate(void **made, const void *properties) {
  MAY_FAIL();
  *made = &pool;
  return properties ? 0 : INVALID_VALUE;
}
int cuMemPoolDestroy(void *destroyed) { return destroyed == &pool ? 0 : INVALID_VALUE; }
int cuMemPoolSetAttribute(void *of, int attribute, void *value) {
  return of == &pool && attribute == 4 && *(uint64_t *)value == UINT64_MAX ? 0 : INVALID_VALUE;
}
int cuMemAllocFromPoolAsync(unsigned long long *memory, size_t bytes, void *from, void *on) {
  MAY_FAIL();
  (void)on;
  *memory = (uintptr_t)malloc(bytes);
  return from == &pool ? 0 : INVALID_VALUE;
}
int cuMemFreeAsync(unsigned long long memory, void *on) {
  MAY_FAIL();
  (void)on;
  enqueue()->freed = (void *)(uintptr_t)memory;
  return 0;
}
int cuStreamCreate(void **made, unsigned flags) {
  *made = &stream;
  return flags == 1 ? 0 : INVALID_VALUE;
}
int cuStreamDestroy_v2(void *destroyed) { return destroyed == &stream ? 0 : INVALID_VALUE; }
int cuStreamSynchronize(void *on) {
  ++state.waits;
  fake_cuda_run();
  return on == &stream ? 0 : INVALID_VALUE;
}
int cuEventCreate(void **made, unsigned flags) {
  *made = malloc(1);
  return flags == 2 ? 0 : INVALID_VALUE;
}
int cuEventDestroy_v2(void *event) {
  free(event);
  return 0;
}
int cuEventRecord(void *event, void *on) { return event && on == &stream ? 0 : INVALID_VALUE; }
int cuEventSynchronize(void *event) {
  ++state.waits;
  fake_cuda_run();
  return event ? 0 : INVALID_VALUE;
}
static int launch(void *function, const unsigned *sizes, void *on, void **parameters) {
  static const int id_bytes[FUNCTIONS] = {4, 8, 0, 4, 8, 4, 8};
  (void)on;
  if (sizes[1] != 1 || sizes[2] != 1 || sizes[4] != 1 || sizes[5] != 1 || sizes[6] || !sizes[0] || !sizes[3] ||
      sizes[0] > (unsigned)state.max_blocks)
    return INVALID_VALUE;
  struct operation *made = enqueue();
  made->blocks = sizes[0];
  if (function == &functions[2])
    made->argument.scan = *(const struct trec_gpu_scan *)parameters[0];
  else
    made->argument.launch = *(const struct trec_gpu_launch *)parameters[0];
  made->id_bytes = id_bytes[(char *)function - functions];
  made->shares_bags = (char *)function >= &functions[5];
  state.few_launches += (char *)function >= &functions[3] && !made->shares_bags;
  state.shared_launches += made->shares_bags;
  ++state.launches;
  return 0;
}
int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, void *on, void **parameters, void **extra) {
  const unsigned sizes[] = {grid_x, grid_y, grid_z, block_x, block_y, block_z, shared};
  MAY_FAIL();
  if (function != &functions[2])
    state.window = (struct fake_window){0};
  return extra ? INVALID_VALUE : launch(function, sizes, on, parameters);
}

/* As in cuda.h: what a launch has beside its kernel, with attributes of 72 bytes. */
struct launch_attribute {
  int id;
  char unused[4];
  union {
    char room[64];
    struct fake_window window;
  } value;
};
struct launch_config {
  unsigned sizes[7];
  void *stream;
  struct launch_attribute *attributes;
  unsigned num_attributes;
};
int cuLaunchKernelEx(const struct launch_config *config, void *function, void **parameters, void **extra) {
  MAY_FAIL();
  if (extra || config->num_attributes != 1 || config->attributes->id != 1)
    return INVALID_VALUE;
  const struct fake_window window = config->attributes->value.window;
  if (window.bytes > (size_t)state.max_window || window.hit_ratio > 1 || window.miss == 2)
    return INVALID_VALUE;
  state.window = window;
  return launch(function, config->sizes, config->stream, parameters);
}
