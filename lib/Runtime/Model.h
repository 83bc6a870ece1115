/* A loaded model, and the parts of the runtime that work on it. */
#ifndef TREC_RUNTIME_MODEL_H
#define TREC_RUNTIME_MODEL_H

#include "OutputStores.h"
#include "ThreadPool.h"
#include "trec/Runtime/RuntimeABI.h"

#include <stdatomic.h>

/* A table as the kernels see it: row 0 is readable even where there are no rows. */
struct trec_table {
  const void *rows;
  int64_t num_rows;
  void *owned;                      /* what to free: a zero row, or an aligned copy */
  int is_certifiable;               /* a kernel of the CPU asks for its certified length */
  _Atomic int64_t certified_length; /* of bags; 0: none */
  _Atomic double certified_offset;  /* of their sums, for each id */
};

/* A parameter as the kernels see it; a map has at least one readable entry. */
struct trec_parameter {
  const void *data;
  int64_t count; /* weights, or entries of a map */
  void *owned;   /* what to free: an aligned copy, or the entry of an empty map */
};

/* What forward needs of one output feature, gathered so that one batch reads one array from front to back. On a GPU the
 * addresses are not those that kernels use, and there are no kernels. */
struct trec_bag {
  trec_kernel kernels[TREC_KERNEL_VARIANTS];
  struct trec_bag_args args; /* what is the same in each call; weights by position, or NULL */
  int64_t feature;
  int64_t batch;        /* of its feature */
  int64_t key;          /* its feature among those of the batch */
  int64_t output;       /* of a regroup; else 0 */
  int64_t column_bytes; /* of its first column in a row of output; 0 without pooling */
  int64_t max_length;   /* of its bags: the positions that have a weight; -1: any */
  int64_t length;       /* of each of its bags, as promised; -1: any */
  int64_t dim;
  int64_t fetched_bytes; /* of a row that is fetched before its kernel is called; 0: none is */
  int64_t short_bag;     /* as of the model, where the ids of all bags are more than a block */
  int fetches_end;       /* its last byte too: it may be in one line more than its length says */
  int counts_bad_ids;    /* 0: a bag before it does */
  const struct trec_table *table;
  int64_t row_bytes;    /* that an id reads */
  int64_t output_bytes; /* that a sample, or without pooling an id, writes */
};

struct trec_gpu;

struct trec_model {
  const struct trec_image *image;
  const struct trec_level_desc *level; /* NULL on a GPU */
  struct trec_gpu *gpu;                /* NULL on the CPU */
  struct trec_table *tables;
  struct trec_parameter *parameters;
  struct trec_bag *bags;
  void *mapping; /* of a weights file, or a copy of it */
  size_t mapping_bytes;
  uint64_t file_bytes;
  const char *pages_reason;
  int unpooled;         /* as of the image */
  int fetches_ahead;    /* some tables are beyond the cache */
  int64_t short_bag;    /* ids of a bag up to which its rows are fetched before its kernel is called */
  int checks_lengths;   /* of some bags not every length is good */
  int64_t output_bytes; /* of all bags for a sample, or without pooling of the average bag for an id */
  struct trec_output_limits output_limits;
  int32_t pages;         /* TREC_PAGES_MAP or TREC_PAGES_HUGE */
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
  int64_t batch;    /* the first that has one */
  int64_t position; /* the lowest, in that batch's values */
  int64_t bag;      /* the first that met it */
};

/* One of the batches of a forward. */
struct trec_job_batch {
  trec_batch args;
  int64_t index;
  int64_t size;           /* samples */
  const int64_t *offsets; /* [num_keys * size + 1] */
  int variant;            /* TREC_KERNEL_INT32 or TREC_KERNEL_INT64 */
};

/* One forward, checked and ready to run. Of the batches as many are set as the model takes. */
struct trec_job {
  const struct trec_model *model;
  const trec_forward_args *args;
  int64_t row_stride; /* of output, elements */
  struct trec_job_batch batches[TREC_MAX_BATCHES];
};

/* Fills model->tables and model->parameters from the one source that the options name. Tables in device memory are not
 * read; parameters there are, for the checks, and are copied. */
int32_t trec_bind_weights(trec_model *model, const trec_create_options *options, trec_error *error);

/* Frees what is bound; tables and parameters keep their sizes alone. */
void trec_release_weights(trec_model *model);

static inline int trec_tables_on_device(const trec_create_options *options) {
  return options->tables && options->tables_location == TREC_DEVICE_CUDA;
}

struct trec_safetensors;

/* The parameters' part of trec_bind_weights, once tables are bound: from the caller's vectors, or from a file. */
int32_t trec_bind_parameter_pointers(trec_model *model, const trec_create_options *options, trec_error *error);
int32_t trec_bind_parameter_tensors(trec_model *model, const struct trec_safetensors *file, trec_error *error);
void trec_release_parameters(trec_model *model);

/* Certifies what the option of create wants certified; tables are bound, and know whether they are certifiable. */
void trec_certify_tables(trec_model *model, const trec_create_options *options);

/* Refuses a bound map with which a kernel could not work: rows that are none of its tables', or searches that fail. */
int32_t trec_check_map(const trec_model *model, int64_t parameter, const char *origin, trec_error *error);

/* Bytes of a bound parameter, with the entry of an empty map. */
size_t trec_parameter_bytes(const trec_model *model, int64_t parameter);

/* Elements of an entry of a parameter: 2 for maps of pairs. */
static inline int64_t trec_entry_elements(const struct trec_parameter_desc *desc) {
  return desc->map == TREC_MAP_HASH_TABLE || desc->map == TREC_MAP_SORTED ? 2 : 1;
}

/* The caller's key of a feature, by its index among those of the batch. */
static inline int64_t trec_slot(const struct trec_job_batch *batch, int64_t key) {
  return batch->args.slots ? batch->args.slots[key] : key;
}

static inline const char *trec_feature_name(const struct trec_image *image, int64_t feature) {
  return image->strings + image->features[feature].name;
}

static inline const char *trec_parameter_name(const struct trec_image *image, int64_t parameter) {
  return image->strings + image->parameters[parameter].name;
}

static inline const char *trec_table_name(const struct trec_image *image, int64_t table) {
  return image->strings + image->tables[table].name;
}

static inline const char *trec_output_name(const struct trec_image *image, int64_t output) {
  return image->strings + image->outputs[output].name;
}

/* Everything about a forward that needs no look at lengths or offsets. Sets the batches of the job, whose model and
 * args are set. */
int32_t trec_check_arguments(struct trec_job *job, trec_error *error);

/* Checks lengths or offsets; those of the batch become the caller's own where they are int64, else they are written to
 * workspace. */
int32_t trec_resolve_offsets(const struct trec_image *image, struct trec_job_batch *batch, int64_t *workspace,
                             trec_error *error);

/* Puts the number of a batch in front of a message about it, where the model takes several. */
int32_t trec_fail_batch(const struct trec_image *image, int64_t batch, trec_error *error);

/* Refuses bags of other lengths than promised, and longer ones than their weights by position. */
int32_t trec_check_lengths(const struct trec_job *job, trec_error *error);

/* Without pooling: refuses outputs that are missing or too small for the ids of their features. */
int32_t trec_check_outputs(const struct trec_job *job, trec_error *error);

/* Runs every kernel of the job, on as many threads as the model allows and the work is worth. */
struct trec_bad_ids trec_run_job(trec_model *model, const struct trec_job *job);

/* The offsets of a bag's feature: [batch_size + 1]. */
static inline const int64_t *trec_bag_offsets(const struct trec_job *job, int64_t i) {
  const struct trec_bag *bag = &job->model->bags[i];
  const struct trec_job_batch *batch = &job->batches[bag->batch];
  return batch->offsets + trec_slot(batch, bag->key) * batch->size;
}

/* What the work of a bag is counted in: samples, or ids where they are not pooled. */
static inline int64_t trec_bag_units(const struct trec_job *job, int64_t bag) {
  const int64_t *offsets = trec_bag_offsets(job, bag), batch = job->args->batch_size;
  return job->model->unpooled ? offsets[batch] - offsets[0] : batch;
}

/* Where task i of a job begins: bags are cut in order, units within a bag. */
struct trec_cut {
  int64_t bag, unit;
};
enum { TREC_MAX_TASKS = 256 };

/* Samples or ids of a bag: a part of its units, or positions in its batch. */
struct trec_units {
  int64_t begin, end;
};

/* A bag's part of a piece. */
struct trec_part {
  const struct trec_bag *bag;
  const struct trec_job_batch *batch;
  const int64_t *offsets;      /* of the bag's feature: [batch_size + 1] */
  struct trec_units units;     /* none where end is no more than begin; then positions are not set */
  struct trec_units positions; /* of their ids, in the batch */
};

/* The positions of the ids of these units. */
static inline struct trec_units trec_positions(const struct trec_model *model, const int64_t *offsets,
                                               struct trec_units units) {
  if (model->unpooled)
    return (struct trec_units){offsets[0] + units.begin, offsets[0] + units.end};
  return (struct trec_units){offsets[units.begin], offsets[units.end]};
}

/* The part of bag i that lies between two cuts, neither of which is behind or before that bag. */
static inline struct trec_part trec_part_of(const struct trec_job *job, int64_t i, struct trec_cut from,
                                            struct trec_cut to) {
  struct trec_part part = {.bag = &job->model->bags[i]};
  const struct trec_job_batch *batch = part.batch = &job->batches[part.bag->batch];
  const int64_t *offsets = part.offsets = batch->offsets + trec_slot(batch, part.bag->key) * batch->size;
  part.units.begin = i == from.bag ? from.unit : 0;
  part.units.end = i == to.bag ? to.unit : job->model->unpooled ? offsets[batch->size] - offsets[0] : batch->size;
  if (part.units.begin < part.units.end)
    part.positions = trec_positions(job->model, offsets, part.units);
  return part;
}

/* Fetches the rows of the bags from bag i of a piece on, of as many as the cache will keep until their turn. Returns
 * the bag that is the first to be fetched next. */
int64_t trec_fetch_ahead(const struct trec_job *job, int64_t i, struct trec_cut from, struct trec_cut to);
/* Some units of a part. */
struct trec_block {
  struct trec_units units;
  int is_fetched; /* their rows are on their way */
};

/* The block of a part that begins at unit `begin`; fetches its rows where that gains. Its kernel is to be called before
 * the next block is asked for. */
struct trec_block trec_fetch_block(const struct trec_job *job, const struct trec_part *part, int64_t begin);

/* Parts of no more units than this are one block, which trec_fetch_ahead has seen. */
enum { TREC_BLOCK_UNITS = 64 };

/* Cuts the job into pieces of like cost, for so many threads: cuts[i] to cuts[i + 1] is piece i. Returns their number,
 * 1 where the job is too small to share. */
int64_t trec_partition(const struct trec_job *job, int32_t threads, struct trec_cut cuts[TREC_MAX_TASKS + 1]);

/* A bad id and where it is. */
struct trec_bad_id {
  int64_t bag, sample, position; /* position within the sample's bag */
  int64_t id;
};
int32_t trec_fail_bad_id(const trec_model *model, const struct trec_bad_id *bad, trec_error *error);

/* Makes a warning of the error about bad ids where that is the model's policy; `when` says in which calls they were. */
int32_t trec_act_on_bad_ids(const trec_model *model, int64_t count, const char *when, trec_error *error);

/* Acts on bad ids by the model's policy. */
int32_t trec_report_bad_ids(trec_model *model, const struct trec_job *job, const struct trec_bad_ids *bad,
                            trec_error *error);

#endif /* TREC_RUNTIME_MODEL_H */
