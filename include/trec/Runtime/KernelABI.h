/* The schema of what the compiler emits and the runtime reads: generated kernels and the constant image of a model.
 *
 * Private to a `.so`: the two sides are always linked together, so nothing here needs to stay stable between
 * versions. `trec-emit-kernel-entries` writes kernels and the arrays of descriptors, `lib/Target/KernelTable.cpp` the
 * image; the asserts below and test/Unit/KernelABITest.cpp hold both to this layout. Every field is 8 bytes.
 */
#ifndef TREC_KERNEL_ABI_H
#define TREC_KERNEL_ABI_H

#include <stddef.h>
#include <stdint.h>

/* What one kernel call works on: one feature pooled through one table into one block of output columns. */
struct trec_bag_args {
  const void *rows;         /* first row of the table */
  int64_t num_rows;         /* ids in 0..num_rows are in bounds; at least row 0 is always readable */
  const void *indices;      /* the batch's whole array of ids, int32 or int64 as the kernel */
  const int64_t *offsets;   /* [B + 1] of this feature, into indices */
  const float *weights;     /* per id, or per position in a bag, as the kernel; else not read */
  void *output;             /* sample 0, first column of this feature; without pooling the row of its first id */
  int64_t output_stride;    /* elements from one sample, or row, to the next */
  int64_t *report;          /* [0] += bad ids met, [1] = lowest position of one in indices (INT64_MAX before) */
  const void *remap;        /* a map from ids to rows, int32 or int64 as the kernel; else not read */
  int64_t num_remap;        /* elements of the map; entry 0 can be read in any case, and a hash table counts it */
  int64_t num_ids;          /* of an array or a hash table: ids in 0..num_ids are in bounds */
  int64_t certified_length; /* sums of bags of so many ids are exact in any order; read by certified kernels alone */
  double certified_offset;  /* a float that their sums begin below zero by, for each id (lib/Runtime/Exactness.c) */
  int64_t fetches_far;      /* rows far ahead are fetched too, so many together if `far_group` is 0; 0: none are */
  int64_t stores;           /* TREC_STORES_*: how the output is written */
  int64_t have_one_id;      /* 1: each of the bags begin..end has one id */
};

/* have_one_id of these bags: no branch, so that many are looked at together. */
static inline int64_t trec_have_one_id(const int64_t *offsets, int64_t begin, int64_t end) {
  int64_t others = 0;
  if (offsets[end] - offsets[begin] != end - begin)
    return 0;
  for (int64_t bag = begin; bag < end; ++bag)
    others |= offsets[bag + 1] - offsets[bag] - 1;
  return !others;
}

/* Only where the output and its rows begin at cache lines are they written around the cache. */
enum { TREC_STORES_CACHED = 0, TREC_STORES_FETCHED = 1, TREC_STORES_STREAMING = 2 };

/* Pools bags begin..end (exclusive), or without pooling writes the rows of the ids at positions begin..end. */
typedef void (*trec_kernel)(const struct trec_bag_args *args, int64_t begin, int64_t end);

/* Kernels per configuration: one for each type of id. */
enum { TREC_KERNEL_INT32 = 0, TREC_KERNEL_INT64 = 1, TREC_KERNEL_VARIANTS = 2 };

/* Features lie batch after batch. */
struct trec_feature_desc {
  int64_t name; /* offset into strings */
  int64_t batch;
  int64_t index; /* among the features of its batch */
};

/* How many batches one forward takes at most: what it keeps of each lies on the stack. */
enum { TREC_MAX_BATCHES = 16 };

/* One tensor of a regroup. */
struct trec_output_desc {
  int64_t name; /* offset into strings */
  int64_t dim;
};

struct trec_table_desc {
  int64_t name; /* offset into strings */
  int64_t rows; /* -1: taken from the weights */
  int64_t row_bytes;
  int64_t dim;          /* elements of an output row of it; bytes where the output is of stored rows */
  int64_t weights_type; /* TREC_WEIGHTS_* */
};

/* Codes of the weights types, as mlir::trec::WeightsType. */
enum {
  TREC_WEIGHTS_FP32 = 0,
  TREC_WEIGHTS_FP16 = 1,
  TREC_WEIGHTS_INT8 = 2,
  TREC_WEIGHTS_INT4 = 3,
  TREC_WEIGHTS_INT2 = 4,
  TREC_WEIGHTS_BF16 = 5,
  TREC_WEIGHTS_FP8 = 6
};

/* Codes of maps from ids to rows: 1 + those of mlir::trec::MapKind. */
enum {
  TREC_MAP_NONE = 0,
  TREC_MAP_ARRAY = 1,      /* count rows, each at its id */
  TREC_MAP_HASH_TABLE = 2, /* count slots [id, row]; -1 in place of the id of an empty one */
  TREC_MAP_SORTED = 3      /* count pairs [id, row] by rising id; other ids go to row count - 1 */
};

/* Where the search of a hash table begins, modulo its slots: the finaliser of 32-bit MurmurHash3, as FBGEMM has it. */
static inline uint32_t trec_hash_id(uint32_t id) {
  id ^= id >> 16;
  id *= 0x85ebca6b;
  id ^= id >> 13;
  id *= 0xc2b2ae35;
  return id ^ id >> 16;
}

/* A small tensor that comes with the weights: float32 weights by position, or a map from ids to rows. */
struct trec_parameter_desc {
  int64_t name;  /* offset into strings */
  int64_t count; /* weights, or entries of a map; -1: taken from the weights */
  int64_t type;  /* TREC_FLOAT32, TREC_INT32 or TREC_INT64: of its elements */
  int64_t map;   /* TREC_MAP_* */
  int64_t ids;   /* of a hash table: ids in 0..ids are in bounds */
};

/* One feature of the output: which kernel pools which feature through which table to which column. */
struct trec_bag_desc {
  int64_t kernel;
  int64_t table;
  int64_t feature;
  int64_t column;    /* the first; without pooling the index of its output */
  int64_t weights;   /* 1 + the parameter with its weights by position; 0: none */
  int64_t remap;     /* 1 + the parameter that maps its ids to rows; 0: none */
  int64_t output;    /* of a regroup: the tensor that column is in */
  int64_t repeats;   /* 1: a bag before it has the same ids and table, and counts the bad ones */
  int64_t certified; /* 1: its kernels ask for the certified length of the table */
  int64_t length;    /* 1 + the ids of each of its bags, where the caller has promised them; 0: any */
};

/* The kernels of one CPU level. `features` has bit i set where the code needs entry i of
 * include/trec/Runtime/CPUFeatures.def. */
struct trec_level_desc {
  const char *name;
  uint64_t features;
  const trec_kernel *kernels; /* [num_kernels][TREC_KERNEL_VARIANTS] */
};

/* Everything constant about one model; the symbol trec_image. */
struct trec_image {
  const char *name;
  const char *strings; /* NUL-terminated names, one after the other */
  const struct trec_feature_desc *features;
  int64_t num_features;
  const struct trec_table_desc *tables;
  int64_t num_tables;
  const struct trec_bag_desc *bags;
  int64_t num_bags;
  int64_t num_kernels;
  const struct trec_level_desc *levels; /* best first */
  int64_t num_levels;
  int64_t total_dim;    /* columns of the output; of a regroup and without pooling 0 */
  int64_t output_type;  /* TREC_FLOAT32, TREC_FLOAT16, TREC_BFLOAT16 or TREC_UINT8 */
  int64_t weighted;     /* bit i: batch i needs per-sample weights */
  int64_t bounds_check; /* TREC_BOUNDS_* other than AS_COMPILED */
  const char *metadata;
  int64_t metadata_bytes;
  const void *ir;
  int64_t ir_bytes;
  const void *weights; /* an embedded safetensors file, or NULL */
  int64_t weights_bytes;
  const struct trec_parameter_desc *parameters;
  int64_t num_parameters;
  int64_t unpooled; /* 0: one output of rows of total_dim, or those of a regroup; 1: one per bag, a row per id */
  int64_t num_batches;
  const struct trec_output_desc *outputs; /* of a regroup */
  int64_t num_outputs;                    /* 0: no regroup */
  const struct trec_gpu_image *gpu;       /* DeviceABI.h; NULL: no code for GPUs */
};

#ifdef __cplusplus
#define TREC_LAYOUT_ASSERT static_assert
#else
#define TREC_LAYOUT_ASSERT _Static_assert
#endif
#define TREC_FIELD_AT(type, field, index)                                                                              \
  TREC_LAYOUT_ASSERT(offsetof(struct type, field) == 8 * (index), #type "." #field " must be field " #index)

TREC_FIELD_AT(trec_bag_args, rows, 0);
TREC_FIELD_AT(trec_bag_args, num_rows, 1);
TREC_FIELD_AT(trec_bag_args, indices, 2);
TREC_FIELD_AT(trec_bag_args, offsets, 3);
TREC_FIELD_AT(trec_bag_args, weights, 4);
TREC_FIELD_AT(trec_bag_args, output, 5);
TREC_FIELD_AT(trec_bag_args, output_stride, 6);
TREC_FIELD_AT(trec_bag_args, report, 7);
TREC_FIELD_AT(trec_bag_args, certified_length, 11);
TREC_FIELD_AT(trec_bag_args, fetches_far, 13);
TREC_FIELD_AT(trec_bag_args, stores, 14);
TREC_FIELD_AT(trec_bag_args, have_one_id, 15);
TREC_FIELD_AT(trec_feature_desc, index, 2);
TREC_FIELD_AT(trec_output_desc, dim, 1);
TREC_FIELD_AT(trec_table_desc, weights_type, 4);
TREC_FIELD_AT(trec_parameter_desc, ids, 4);
TREC_FIELD_AT(trec_bag_desc, remap, 5);
TREC_FIELD_AT(trec_bag_desc, certified, 8);
TREC_FIELD_AT(trec_bag_desc, length, 9);
TREC_FIELD_AT(trec_level_desc, kernels, 2);
TREC_FIELD_AT(trec_image, unpooled, 23);
TREC_FIELD_AT(trec_image, num_outputs, 26);
TREC_FIELD_AT(trec_image, gpu, 27);

#endif /* TREC_KERNEL_ABI_H */
