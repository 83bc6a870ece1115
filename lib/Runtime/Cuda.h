/* The CUDA driver, libcuda.so.1, opened when a model is to run on a GPU. Its types and constants are those of cuda.h;
 * they are part of the driver's ABI, so that no CUDA is needed to build. */
#ifndef TREC_RUNTIME_CUDA_H
#define TREC_RUNTIME_CUDA_H

#include "trec/Runtime/ModelABI.h"

typedef unsigned long long trec_device_address; /* CUdeviceptr */

/* CUmemPoolProps. */
struct trec_cuda_pool {
  int allocation_type, handle_types, location_type, location;
  void *security;
  size_t max_size;
  unsigned short usage;
  unsigned char reserved[54];
};

/* CUaccessPolicyWindow. */
struct trec_cuda_window {
  trec_device_address begin;
  size_t bytes;
  float hit_ratio;
  int hit, miss;
};

/* CUlaunchAttribute. */
struct trec_cuda_launch_attribute {
  int id, reserved;
  union {
    struct trec_cuda_window window;
    char room[64];
  } value;
};

/* CUlaunchConfig. */
struct trec_cuda_launch {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
  void *stream;
  struct trec_cuda_launch_attribute *attributes;
  unsigned num_attributes;
};

enum {
  TREC_CUDA_OUT_OF_MEMORY = 2,
  TREC_CUDA_NO_DEVICE = 100,
  TREC_CUDA_OLDEST_DRIVER = 11080, /* the first that knows sm_90; it has all functions */
  TREC_CUDA_MAX_GRID = 5,          /* CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X */
  TREC_CUDA_MULTIPROCESSORS = 16,  /* CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT */
  TREC_CUDA_MAJOR = 75,            /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR */
  TREC_CUDA_MINOR = 76,
  TREC_CUDA_MAX_PERSISTING = 108, /* CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE */
  TREC_CUDA_MAX_WINDOW = 109,     /* CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE */
  TREC_CUDA_PINNED = 1,           /* CU_MEM_ALLOCATION_TYPE_PINNED */
  TREC_CUDA_ON_DEVICE = 1,        /* CU_MEM_LOCATION_TYPE_DEVICE */
  TREC_CUDA_RELEASE_THRESHOLD = 4,
  TREC_CUDA_L2_FETCH_BYTES = 5,   /* CU_LIMIT_MAX_L2_FETCH_GRANULARITY */
  TREC_CUDA_L2_PERSIST_BYTES = 6, /* CU_LIMIT_PERSISTING_L2_CACHE_SIZE */
  TREC_CUDA_ACCESS_WINDOW = 1,    /* CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW */
  TREC_CUDA_PERSISTING = 2,       /* CU_ACCESS_PROPERTY_PERSISTING; 0 is NORMAL */
  TREC_CUDA_PORTABLE = 1,         /* CU_MEMHOSTALLOC_PORTABLE */
  TREC_CUDA_MAPPED = 2,           /* CU_MEMHOSTALLOC_DEVICEMAP */
  TREC_CUDA_NON_BLOCKING = 1,
  TREC_CUDA_NO_TIMING = 2,
  TREC_CUDA_RELAXED = 2 /* CU_STREAM_CAPTURE_MODE_RELAXED */
};

struct trec_cuda {
#define TREC_CUDA_FUNCTION(name, symbol, parameters) int(*name) parameters;
#include "CudaFunctions.def"
#undef TREC_CUDA_FUNCTION
};

/* Loads the driver, finds its functions and initialises it. It is never unloaded: others may have started to use it. */
int32_t trec_cuda_open(struct trec_cuda *cuda, trec_error *error);

/* TREC_OK where a call of the driver gave 0; else fails with what was being done and the driver's reason. */
int32_t trec_cuda_check(const struct trec_cuda *cuda, int result, const char *doing, trec_error *error);

#endif /* TREC_RUNTIME_CUDA_H */
