/* A loaded model, and the parts of the runtime that work on it. */
#ifndef TREC_RUNTIME_MODEL_H
#define TREC_RUNTIME_MODEL_H

#include "ThreadPool.h"
#include "trec/Runtime/RuntimeABI.h"

#include <stdatomic.h>

/* A table as the kernels see it: row 0 is readable even where there are no rows. */
struct trec_table {
  const void *rows;
  int64_t num_rows;
  void *owned; /* what to free: a zero row, or an aligned copy */
};

/* What forward needs of one output feature, gathered so that one batch reads one array from front to back. */
struct trec_bag {
  trec_kernel kernels[TREC_KERNEL_VARIANTS];
  const void *rows;
  int64_t num_rows;
  int64_t feature;
  int64_t column_bytes; /* of its first column in a row of output */
};

struct trec_model {
  const struct trec_image *image;
  const struct trec_level_desc *level;
  struct trec_table *tables;
  struct trec_bag *bags;
  void *mapping;
  size_t mapping_bytes;
  int64_t element_bytes; /* of the output */
  int32_t bounds_check;  /* never TREC_BOUNDS_AS_COMPILED */
  int32_t threads;
  trec_parallel_for parallel_for;
  void *parallel_for_user;
  trec_warning warning;
  void *warning_user;
  trec_pool_slot pool;
  _Atomic int64_t forwards, bad_ids, failed;
};

/* The bad ids that some of the kernel calls of a forward met. */
struct trec_bad_ids {
  int64_t count;
  int64_t position; /* the lowest, in the caller's values */
  int64_t bag;      /* the first that met it */
};

/* One forward, checked and ready to run. */
struct trec_job {
  const struct trec_model *model;
  const trec_forward_args *args;
  const int64_t *offsets; /* [num_keys * batch_size + 1] */
  int64_t row_stride;     /* elements */
  int variant;            /* TREC_KERNEL_INT32 or TREC_KERNEL_INT64 */
};

/* Fills model->tables from the one source that the options name. */
int32_t trec_bind_weights(trec_model *model, const trec_create_options *options, trec_error *error);
void trec_release_weights(trec_model *model);

/* The caller's key of a feature. */
static inline int64_t trec_slot(const trec_forward_args *args, int64_t feature) {
  return args->slots ? args->slots[feature] : feature;
}

static inline const char *trec_feature_name(const struct trec_image *image, int64_t feature) {
  return image->strings + image->features[feature].name;
}

static inline const char *trec_table_name(const struct trec_image *image, int64_t table) {
  return image->strings + image->tables[table].name;
}

/* Everything about a forward that needs no look at lengths or offsets. */
int32_t trec_check_arguments(const trec_model *model, const trec_forward_args *args, trec_error *error);

/* Checks lengths or offsets; *offsets are the caller's own where they are int64, else written to workspace. */
int32_t trec_resolve_offsets(const struct trec_image *image, const trec_forward_args *args, int64_t *workspace,
                             const int64_t **offsets, trec_error *error);

/* Runs every kernel of the job, on as many threads as the model allows and the work is worth. */
struct trec_bad_ids trec_run_job(trec_model *model, const struct trec_job *job);

/* Where task i of a job begins: bags are cut in order, samples within a bag. */
struct trec_cut {
  int64_t bag, sample;
};
enum { TREC_MAX_TASKS = 256 };

/* Cuts the job into pieces of like cost, for so many threads: cuts[i] to cuts[i + 1] is piece i. Returns their number,
 * 1 where the job is too small to share. */
int64_t trec_partition(const struct trec_job *job, int32_t threads, struct trec_cut cuts[TREC_MAX_TASKS + 1]);

/* Acts on bad ids by the model's policy. */
int32_t trec_report_bad_ids(trec_model *model, const struct trec_job *job, const struct trec_bad_ids *bad,
                            trec_error *error);

#endif /* TREC_RUNTIME_MODEL_H */
