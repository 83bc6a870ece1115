/* The schema of what a compiled model's GPU kernels and the runtime know of each other.
 *
 * Private to a `.so`, as KernelABI.h. One launch computes a whole model: every block works for one lookup (a bag of
 * descriptors below), and switches to the code of its configuration by a number that all its threads share. The
 * lookups lie in spans of like work per block, so that a block finds its lookup by a few comparisons and a division,
 * and no array has to be sent to the device per call. Every field is 8 bytes.
 */
#ifndef TREC_DEVICE_ABI_H
#define TREC_DEVICE_ABI_H

#include "trec/Runtime/KernelABI.h"

/* One lookup as kernels see it; an array of them lies in device memory, written once when a model is created. */
struct trec_gpu_bag {
  const void *rows;     /* device address of row 0, at a multiple of 16; rows lie device_row_bytes apart */
  int64_t num_rows;     /* ids in 0..num_rows are in bounds; at least row 0 is readable */
  int64_t kernel;       /* the configuration: the case that the block switches to */
  int64_t batch;        /* of its feature */
  int64_t key;          /* its feature among those of the batch */
  int64_t length;       /* of each of its bags, as promised; -1: any */
  int64_t ids_before;   /* of each sample in the features in front of its own, if all of them are promised; else -1 */
  int64_t column;       /* elements in front of its first column in a row of its output */
  int64_t output;       /* of a regroup: the tensor; without pooling: the index of its output; else 0 */
  int64_t table;        /* for reports */
  const float *weights; /* by position, in device memory; NULL: those of the ids, if any */
  int64_t max_length;   /* of its bags, where weights are by position; else -1 */
  const void *remap;    /* from ids to rows, int32 or int64 as the model says, in device memory; NULL: ids are rows */
  int64_t num_remap;    /* elements of the map */
  int64_t num_ids;      /* of an array or a hash table: ids in 0..num_ids are in bounds */
  int64_t counts_bad_ids;
  int64_t row_stride; /* without pooling: elements from a row of its output to the next; else 0 */
};

/* How a kernel configuration works; the compiler writes one for each kernel of the model. */
struct trec_gpu_kernel_desc {
  int64_t bags_per_block;        /* samples (without pooling: ids) that one block works on at a time */
  int64_t device_row_bytes;      /* from one row to the next in device memory: the stored row's, rounded up to 16 */
  int64_t few_bags_per_block;    /* the same of the kernels for few bags */
  int64_t shared_bags_per_block; /* the same of the kernels whose blocks share bags */
};

/* Consecutive lookups whose blocks work on equally many samples. */
struct trec_gpu_span {
  int64_t first_block;    /* of the launch */
  int64_t blocks_per_bag; /* blocks of each lookup */
  int64_t first_bag;      /* in the array of lookups */
  int64_t multiplier;     /* n / blocks_per_bag is n * multiplier >> shift for all n of 31 bits */
  int64_t shift;
};
enum { TREC_GPU_MAX_SPANS = 8, TREC_GPU_MAX_OUTPUTS = 128 };

/* One batch of a call; all addresses are of device memory. */
struct trec_gpu_batch {
  const void *values;
  int64_t num_values;
  const void *offsets;   /* [num_keys * batch_size + 1] */
  int64_t offsets_bytes; /* of an element: 4 or 8 */
  const float *weights;  /* per id; NULL: none */
  const int32_t *slots;  /* the caller's key of each feature; NULL: key i is feature i */
  int64_t num_keys;
};

/* What went wrong on the device: mapped host memory that nobody resets, so that launches and replays of graphs need no
 * order with the host. A thread that sees something wrong adds to count (bad ids), takes the lock (a compare-and-swap
 * from even to odd), reads epoch, writes its place if that is lower than the one there or if place_epoch is not epoch
 * (then the host has taken it), and releases the lock to the next even number if it wrote, else to the old one; between
 * these are fences for the system. The host reads the place between two equal even values of lock, then adds 1 to
 * epoch, then reads count: so what is not written because a lower place is there has been counted. Lower is: a graver
 * kind; else the batch, then the position, then the bag. */
struct trec_gpu_report {
  int64_t lock;
  int64_t count;       /* bad ids, of lookups that count them; grows for ever */
  int64_t epoch;       /* written by the host alone, when it has taken a place; begins at 1 */
  int64_t place_epoch; /* the epoch that the place below was written in; begins at 0 */
  int64_t kind;        /* TREC_GPU_NOTHING, … the gravest */
  int64_t batch;
  int64_t bag;      /* in the array of lookups; -1: of no lookup */
  int64_t sample;   /* -1: of none */
  int64_t begin;    /* of an id: the first position of its bag */
  int64_t position; /* of the id in its batch's values, of the offset in its offsets, of the length in its lengths */
  int64_t value;    /* the id, the length of the bag, the offset, the length, or the sum */
};
enum {
  TREC_GPU_NOTHING = 0,
  TREC_GPU_BAD_ID = 1,
  TREC_GPU_LONG_BAG = 2,     /* value: its length; position: its offset's */
  TREC_GPU_OTHER_LENGTH = 3, /* than promised; value: that of the bag; position: its offset's */
  TREC_GPU_SMALL_OUTPUT = 4, /* value: ids of the lookup's feature, more than rows of its output; sample, position -1 */
  TREC_GPU_BAD_OFFSET = 5,   /* the end of a bag, or the first or the last of a batch */
  TREC_GPU_BAD_SUM = 6,      /* lengths do not sum to num_values; value: their sum; position: their count */
  TREC_GPU_BAD_LENGTH = 7    /* a negative length */
};

/* The one argument of trec_forward_i32, trec_forward_i64 and those for fewer bags, passed by value. Block 0 also looks
 * at each batch of the launch: offsets[0] must be 0 and the last offset num_values (TREC_GPU_BAD_OFFSET, bag -1, sample
 * -1). */
struct trec_gpu_launch {
  const struct trec_gpu_bag *bags;
  struct trec_gpu_report *report;
  int64_t batch_size;
  int64_t num_spans;
  struct trec_gpu_span spans[TREC_GPU_MAX_SPANS];
  int64_t num_batches; /* that are set */
  struct trec_gpu_batch batches[TREC_MAX_BATCHES];
  /* Those that the lookups of this launch write: entry i is output first_output + i. One alone but for a regroup and
   * without pooling. */
  int64_t first_output;
  void *outputs[TREC_GPU_MAX_OUTPUTS];
  int64_t output_extents[TREC_GPU_MAX_OUTPUTS]; /* elements from a row to the next; without pooling rows that fit, to be
                                                   checked before a write */
};

/* The one argument of trec_scan_lengths, passed by value: offsets[i] is the sum of the first i lengths. What is wrong
 * (a negative length, a sum that is not num_values) is reported; offsets may then be anything, for trec_forward checks
 * each. Launched with scan_threads_per_block threads in max(1, ceil(count / lengths_per_block)) blocks, at most
 * TREC_GPU_SCAN_BLOCKS; where there are several, first with writes_sums. */
struct trec_gpu_scan {
  const void *lengths;
  int64_t lengths_bytes; /* of an element: 4 or 8 */
  int64_t count;
  int64_t num_values;
  int64_t *offsets; /* [count + 1] */
  struct trec_gpu_report *report;
  int64_t batch;
  int64_t *sums;             /* of several blocks: what the lengths of each sum to */
  int64_t lengths_per_block; /* a multiple of scan_lengths_per_block */
  int64_t writes_sums;       /* 1: only these are written, for the launch behind this one */
};
enum { TREC_GPU_SCAN_BLOCKS = 1024 };

/* The kernels' code for one chip. */
struct trec_gpu_binary {
  const char *chip;   /* "sm_90" */
  int64_t capability; /* 90: a cubin runs on this major version from this minor one on, PTX on all later chips */
  int64_t is_ptx;
  const void *code; /* PTX ends with a NUL */
  int64_t code_bytes;
};

/* All of a model's GPU part; trec_image.gpu points to one, or is NULL. */
struct trec_gpu_image {
  const struct trec_gpu_binary *binaries;
  int64_t num_binaries;
  const struct trec_gpu_kernel_desc *kernels; /* [trec_image.num_kernels] */
  int64_t threads_per_block;
  int64_t numerics; /* 0: FBGEMM's on GPUs; 1: its CPU numbers; 2: as 0, sums in any order */
  int64_t scan_threads_per_block;
  int64_t scan_lengths_per_block;
  int64_t has_few_kernels;    /* 1: trec_forward_few_i32 and _i64 are there for launches of few bags */
  int64_t has_shared_kernels; /* 1: trec_forward_shared_i32 and _i64 are there for launches of still fewer */
};

TREC_FIELD_AT(trec_gpu_bag, row_stride, 16);
TREC_FIELD_AT(trec_gpu_kernel_desc, shared_bags_per_block, 3);
TREC_FIELD_AT(trec_gpu_span, shift, 4);
TREC_FIELD_AT(trec_gpu_batch, num_keys, 6);
TREC_FIELD_AT(trec_gpu_report, value, 10);
TREC_FIELD_AT(trec_gpu_launch, spans, 4);
TREC_FIELD_AT(trec_gpu_launch, batches, 45);
TREC_FIELD_AT(trec_gpu_launch, outputs, 46 + 7 * TREC_MAX_BATCHES);
TREC_FIELD_AT(trec_gpu_scan, writes_sums, 9);
TREC_FIELD_AT(trec_gpu_binary, code_bytes, 4);
TREC_FIELD_AT(trec_gpu_image, has_shared_kernels, 8);
TREC_LAYOUT_ASSERT(sizeof(struct trec_gpu_launch) <= 4096, "arguments of a kernel must fit into 4096 bytes");

#endif /* TREC_DEVICE_ABI_H */
