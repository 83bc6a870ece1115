/* The part of a model that is on a GPU, and the parts of the runtime that work on it. */
#ifndef TREC_RUNTIME_GPU_H
#define TREC_RUNTIME_GPU_H

#include "Cuda.h"
#include "Model.h"
#include "trec/Runtime/DeviceABI.h"

#include <pthread.h>

/* Tables begin at multiples of this, their rows lie apart by multiples of the other. */
enum { TREC_GPU_TABLE_ALIGNMENT = 256, TREC_GPU_ROW_ALIGNMENT = 16 };

/* Kernels for launches of many bags, of so few that what counts is how long one takes, and of so few that each has a
 * block, whose warps share it. A model may have the first alone. */
enum { TREC_GPU_MANY_BAGS, TREC_GPU_FEW_BAGS, TREC_GPU_SHARED_BAGS, TREC_GPU_SCHEDULES };

/* Consecutive lookups on the device that differ in nothing that spans are made of. */
struct trec_gpu_group {
  int64_t first_bag;
  int64_t num_bags;
  int64_t bags_per_block[TREC_GPU_SCHEDULES];
  int64_t batch;
  int64_t piece; /* outputs piece * TREC_GPU_MAX_OUTPUTS and on */
};

/* An order of keys that callers have come with. */
struct trec_gpu_slots {
  struct trec_gpu_slots *next;
  trec_device_address address;
  int64_t count;
  int32_t slots[];
};

struct trec_gpu {
  struct trec_cuda cuda;
  int index, device, capability;
  int64_t max_blocks; /* of a launch */
  int64_t multiprocessors;
  char name[64];
  void *context; /* the device's primary one, which others share */
  void *module, *scan;
  void *forward[TREC_GPU_SCHEDULES][TREC_KERNEL_VARIANTS]; /* NULL: the model has none */
  void *stream;                                            /* of copies to the device */
  void *pool;                                              /* of offsets that are computed on the device */
  trec_device_address memory;                              /* tables, parameters and lookups */
  trec_device_address bags;
  int32_t *places;            /* TREC_PLACE_* of each table */
  void **host_tables;         /* pinned memory of those on the host; else NULL */
  uint64_t *persistent_bytes; /* of each table: how many are in the window */
  int64_t *order;             /* the lookup of the image at each place on the device */
  struct trec_gpu_group *groups;
  int64_t num_groups;
  int64_t longest_promised;       /* length of a lookup's bags; -1: none is */
  struct trec_cuda_window window; /* of memory that launches ask the cache to keep; may have 0 bytes */
  struct trec_gpu_report *report; /* in host memory that the device sees */
  trec_device_address report_address;
  pthread_mutex_t mutex; /* guards what follows */
  struct trec_gpu_slots *slots;
  int64_t taken; /* the report's lock when its place was taken last */
  int64_t count; /* of bad ids that have been taken */
};

/* Where everything is to be for the device: of what goes into the block, offsets, until memory is taken. */
struct trec_gpu_layout {
  trec_device_address *tables, *parameters;
  char *is_callers; /* of parameters */
  size_t bags, bytes;
};

/* Makes the device's context current for a while. */
struct trec_gpu_scope {
  int is_pushed;
};
struct trec_gpu_scope trec_gpu_enter(const struct trec_gpu *gpu);
void trec_gpu_leave(const struct trec_gpu *gpu, struct trec_gpu_scope scope);

/* Refuses options that do not go together, for any device. */
int32_t trec_gpu_check_options(const struct trec_image *image, const trec_create_options *options, trec_error *error);

/* Opens the device that the options name and loads the code for it. Sets model->gpu. */
int32_t trec_gpu_open(trec_model *model, const trec_create_options *options, trec_error *error);

/* Brings what is bound to the device, and frees what the host then needs no more. */
int32_t trec_gpu_upload(trec_model *model, const trec_create_options *options, trec_error *error);

void trec_gpu_close(trec_model *model);

/* Chooses the places of all tables, and lays out the block. */
int32_t trec_gpu_place(const trec_model *model, const trec_create_options *options, struct trec_gpu_layout *layout,
                       trec_error *error);

/* With padding; a table without rows has one of zeros. */
size_t trec_gpu_table_bytes(const trec_model *model, int64_t table);

/* On the device, by trec_gpu_place; -1: there is none. */
int64_t trec_gpu_largest_table(const trec_model *model);

/* What the caller asks of the device's second level of cache, for all of the process. */
int32_t trec_gpu_set_cache(const struct trec_gpu *gpu, const trec_create_options *options, trec_error *error);

/* Sets model->gpu's window, once all tables have their addresses. */
int32_t trec_gpu_choose_window(const trec_model *model, const trec_create_options *options,
                               const struct trec_gpu_layout *layout, trec_error *error);

/* Makes model->gpu's order of lookups and its groups. */
int32_t trec_gpu_order(trec_model *model, trec_error *error);

/* Copies device memory of the caller's to the host and waits for it. */
int32_t trec_gpu_read(const struct trec_gpu *gpu, void *to, const void *from, size_t bytes, trec_error *error);

/* Copies one array to the device and waits for it; also while a stream of this thread is being captured. */
int32_t trec_gpu_copy(const struct trec_gpu *gpu, trec_device_address to, const void *from, size_t bytes);

/* The device's copy of a batch's slots, made when they are first met. */
int32_t trec_gpu_find_slots(struct trec_gpu *gpu, const int32_t *slots, int64_t count, trec_device_address *address,
                            trec_error *error);
void trec_gpu_free_slots(struct trec_gpu *gpu);

/* Puts the work of a checked job on the caller's stream; workspace_bytes are what its offsets need. */
int32_t trec_gpu_forward(const struct trec_job *job, uint64_t workspace_bytes, trec_error *error);

/* Takes what the device has reported since the last time, and acts on it by the model's policy. */
int32_t trec_gpu_poll(trec_model *model, trec_error *error);

/* Bytes from one row to the next on the device. */
static inline int64_t trec_gpu_row_bytes(int64_t row_bytes) {
  return (row_bytes + TREC_GPU_ROW_ALIGNMENT - 1) / TREC_GPU_ROW_ALIGNMENT * TREC_GPU_ROW_ALIGNMENT;
}

#endif /* TREC_RUNTIME_GPU_H */
