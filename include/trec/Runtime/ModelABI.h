/* The C interface of a compiled model: what a program that serves embeddings calls.
 *
 * `trec-compile` writes a copy of this text into each `model.h`, so that the generated header stands alone.
 * A `model.so` exports one symbol, the query function (`trec_model_query` unless `--symbol` named another):
 *
 *     const trec_api *api = trec_model_query(TREC_ABI_VERSION, &error);
 *     trec_create_options options = {.size = sizeof options, .weights_path = "model.safetensors"};
 *     trec_model *model;
 *     if (api->create(&options, &model, &error) != TREC_OK) fail(error.message);
 *     trec_forward_args args = {.size = sizeof args, .batch_size = 2, .num_keys = 1, .values = ids,
 *                               .num_values = 3, .values_type = TREC_INT64, .lengths = lengths,
 *                               .lengths_type = TREC_INT32, .output = out, .output_bytes = sizeof out};
 *     if (api->forward(model, &args, &error) != TREC_OK) fail(error.message);
 *     api->destroy(model);
 *
 * Rules that hold everywhere:
 * - Every function returns a status code and never aborts, exits or throws. `error` may be NULL.
 * - The first field of every struct is its size in bytes as the caller knows it; fields are only ever appended. A
 *   struct shorter than the library's reads as if its missing fields were zero.
 * - A model is immutable after `create` but for its counters: any number of threads may call `forward` on it.
 * - Nothing that the caller passes in is written to, but `output`, `outputs`, `workspace` and `error`.
 *
 * On a GPU (TREC_DEVICE_CUDA), for a model that was compiled with `--gpu`:
 * - `create` copies tables and parameters to the device, or tables to memory that it sees, unless they lie there
 *   already; changes of the caller's copy in host memory are not seen afterwards. The driver (libcuda.so.1) is opened
 * by it and not before.
 * - `forward` puts its work on `stream` and returns. Device memory are: values, lengths, offsets, weights, workspace,
 *   output and what outputs points to. Host memory are: slots, batches, outputs, outputs_bytes and the structs. They
 * may be freed or changed when `forward` has returned, device memory in the order of the stream. It waits for nothing,
 *   and can be captured in a graph.
 * - What the device finds wrong in ids, lengths or offsets is known later: the next `forward`, which then does nothing
 *   else, or `poll` returns it, as an error about an earlier call. Outputs of that call are unspecified, but under
 *   TREC_BOUNDS_WARNING and TREC_BOUNDS_IGNORE bad ids are no errors: row 0 is used, and nothing is skipped.
 */
#ifndef TREC_MODEL_ABI_H
#define TREC_MODEL_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes only when a struct below changes in a way that appending cannot express. */
#define TREC_ABI_VERSION 1u

/* Status codes; also in trec_error.status. */
enum {
  TREC_OK = 0,
  TREC_INVALID_ARGUMENT = 1, /* a call that no batch could make right: null pointer, unknown type, short buffer */
  TREC_INVALID_INPUT = 2,    /* lengths, offsets, slots or weights of a batch are wrong */
  TREC_OUT_OF_BOUNDS = 3,    /* an id is outside its table, under TREC_BOUNDS_FATAL or TREC_BOUNDS_NONE */
  TREC_WEIGHTS_MISMATCH = 4, /* the weights are not those that the model was compiled for, or not well formed */
  TREC_IO_ERROR = 5,         /* a file cannot be opened, mapped or read */
  TREC_OUT_OF_MEMORY = 6,
  TREC_UNSUPPORTED_CPU = 7,  /* the machine lacks the instructions that the model was compiled for */
  TREC_VERSION_MISMATCH = 8, /* the caller's TREC_ABI_VERSION is not the library's */
  TREC_UNSUPPORTED_GPU = 9,  /* no driver, no such device, or the model has no code for it */
  TREC_GPU_ERROR = 10        /* the driver reports an error that is none of the above */
};

/* Where a model runs. */
enum { TREC_DEVICE_CPU = 0, TREC_DEVICE_CUDA = 1 };

/* Element types of arrays that the caller passes. Outputs of TREC_UINT8 are rows as they are stored, without padding:
 * half-float scale and bias, then one code per column. */
enum { TREC_INT32 = 1, TREC_INT64 = 2, TREC_FLOAT32 = 3, TREC_FLOAT16 = 4, TREC_BFLOAT16 = 5, TREC_UINT8 = 6 };

/* What happens to an id that is negative (other than -1, which is always skipped) or not below its table's rows. */
enum {
  TREC_BOUNDS_AS_COMPILED = 0, /* the policy written in the model */
  TREC_BOUNDS_FATAL = 1,       /* forward fails with TREC_OUT_OF_BOUNDS and names the lowest bad position */
  TREC_BOUNDS_WARNING = 2,     /* row 0 is used instead, the id is counted, the warning callback is called */
  TREC_BOUNDS_IGNORE = 3,      /* row 0 is used instead, the id is counted */
  TREC_BOUNDS_NONE = 4         /* as fatal: no read is ever out of bounds, whatever the policy */
};

/* How a model holds the file that weights_path names. The outputs are the same. */
enum {
  TREC_PAGES_MAP = 0,  /* mapped read-only: nothing is read before it is looked up, processes share one copy, pages of
                        * 4 KiB */
  TREC_PAGES_HUGE = 1, /* copied to memory of the process that is advised to lie on huge pages, so that a row costs
                        * fewer misses of the TLB; children of fork() share the copy */
  TREC_PAGES_AUTO = 2  /* copied where the file has at least TREC_PAGES_AUTO_BYTES, takes at most three quarters of the
                        * memory that is available, and the system has huge pages; else mapped */
};
#define TREC_PAGES_AUTO_BYTES (64ll << 20)

/* When a model looks for tables whose sums are exact in float32, in any order and up to some length of a bag: FBGEMM's
 * bits then come out of faster arithmetic too. It reads the scale and bias of every row of INT8, INT4 and INT2, so that
 * all pages of a mapped file are read. The lengths that are found hold until a row is changed. */
enum {
  TREC_EXACTNESS_AUTO = 0,  /* in create, of a file that is copied, or of tables in a file or embedded that have at most
                             * TREC_EXACTNESS_BYTES */
  TREC_EXACTNESS_CHECK = 1, /* in create; a caller that changes rows in place promises to call check_exactness then */
  TREC_EXACTNESS_OFF = 2    /* never */
};
#define TREC_EXACTNESS_BYTES (64ll << 20)

/* Where a table of a model on a GPU lies. */
enum {
  TREC_PLACE_AUTO = 0,   /* create chooses: in device memory, unless device_bytes is too little */
  TREC_PLACE_DEVICE = 1, /* in device memory */
  TREC_PLACE_HOST = 2,   /* in pinned host memory, of which the device reads the rows that are looked up */
  TREC_PLACE_CALLERS = 3 /* told by table_info alone: where the caller has put it */
};

/* Where and why a call failed. Set `size` before the call; the library fills the rest, also on success (status 0 and
 * an empty message). Numbers that do not apply are -1. */
typedef struct trec_error {
  size_t size;
  int32_t status;
  int32_t reserved;
  int64_t feature;  /* index into the model's features, those of its batches one after the other */
  int64_t table;    /* index into the model's tables */
  int64_t sample;   /* in 0..batch_size */
  int64_t position; /* of the id within its sample's bag */
  int64_t value;    /* the id, length or offset that was found */
  int64_t limit;    /* what it had to stay below: rows of the table, number of values */
  char message[512];
} trec_error;

/* One table as it lies in the caller's memory: `rows` rows of `row_bytes` bytes, without gaps. */
typedef struct trec_table_data {
  const void *data;
  int64_t rows;
  int64_t row_bytes;
} trec_table_data;

/* Runs body(context, i) for each i in 0..count, in any order, on any threads, and returns when all are done. */
typedef void (*trec_parallel_for)(void *user, int64_t count, void (*body)(void *context, int64_t i), void *context);

/* Receives one message per call of forward that met bad ids under TREC_BOUNDS_WARNING; `error` holds its numbers and
 * lives until the callback returns. Called on the thread that called forward. */
typedef void (*trec_warning)(void *user, const trec_error *error);

/* Called while create copies a weights file, or tables to a GPU: first with 0 bytes done, last with all of them, on the
 * thread that called create. */
typedef void (*trec_progress)(void *user, uint64_t bytes_done, uint64_t bytes_total);

/* Exactly one source of weights: a path, a safetensors file in memory, or one trec_table_data per table (and one per
 * parameter) in the model's order. With none of them the model uses weights embedded by `--weights=embed`, and fails
 * where it has none. Memory that the caller passes must outlive the model and may be changed in place between calls of
 * forward. */
typedef struct trec_create_options {
  size_t size;
  const char *weights_path; /* mapped or copied, as pages says; tables that do not lie at a multiple of 16 bytes in the
                             * file are copied, as are parameters anywhere that are not aligned to their elements */
  const void *weights_data;
  uint64_t weights_bytes;
  const trec_table_data *tables;
  int64_t num_tables;
  int32_t bounds_check; /* TREC_BOUNDS_* */
  int32_t threads;      /* threads that one forward may use, the caller's included; 0 and 1: the caller's alone */
  trec_parallel_for parallel_for; /* the caller's executor; NULL: the model's own pool, started when first needed */
  void *parallel_for_user;
  trec_warning warning; /* NULL: warnings go to standard error, one line each */
  void *warning_user;
  const trec_table_data *parameters; /* with tables: one per parameter, a row per weight or entry of a map */
  int64_t num_parameters;
  int32_t device;          /* TREC_DEVICE_* */
  int32_t device_index;    /* of a GPU, as CUDA counts them */
  int32_t tables_location; /* TREC_DEVICE_*: where tables and parameters lie. On the device they are used where they
                            * lie: a table at a multiple of 16 bytes, in rows of row_bytes rounded up to a multiple of
                            * 16, which its trec_table_data.row_bytes says */
  int32_t pages;           /* TREC_PAGES_*: of weights_path; TREC_PAGES_HUGE is an error with other weights */
  trec_progress progress;  /* NULL: none */
  void *progress_user;
  int32_t exactness;      /* TREC_EXACTNESS_* */
  int32_t l2_fetch_bytes; /* on a GPU: at most so many bytes, 32, 64 or 128, are fetched into its second level of cache
                           * where fewer are read; holds for all of the process on this GPU, also after destroy. 0: as
                           * it was */
  const int32_t *placements; /* on a GPU: TREC_PLACE_* of each table; NULL: TREC_PLACE_AUTO of all */
  int64_t num_placements;
  uint64_t device_bytes; /* on a GPU: what tables, parameters and lookups may take of its memory; 0: what there is. So
                          * that they do, tables that are TREC_PLACE_AUTO go to the host, the largest first, and the
                          * last one of equally large ones */
  uint64_t l2_persist_bytes; /* on a GPU: what of its second level of cache is set aside for this model's tables, those
                              * that are read most for their size; holds for all of the process on this GPU, also after
                              * destroy, unless more was set aside before. 0: nothing is asked for */
} trec_create_options;

/* One more batch of a model that takes several. Its fields are those of trec_forward_args with the same names, and
 * `slots` has an entry for each of the batch's own features. */
typedef struct trec_batch {
  size_t size;
  int64_t num_keys;
  const int32_t *slots;
  const void *values;
  int64_t num_values;
  const void *lengths;
  const void *offsets;
  const float *weights;
  int64_t num_weights;
  int32_t values_type;
  int32_t lengths_type;
  int32_t offsets_type;
  int32_t reserved;
} trec_batch;

/* One batch, as a KeyedJaggedTensor holds it. With K = num_keys and B = batch_size, the ids of key k, sample b are
 * values[offsets[k * B + b]] to values[offsets[k * B + b + 1]] (exclusive). */
typedef struct trec_forward_args {
  size_t size;
  int64_t batch_size;   /* B, may be 0 */
  int64_t num_keys;     /* K: keys that the caller's batch holds, in the caller's order */
  const int32_t *slots; /* [number of features]: the caller's key of each feature; NULL: key i is feature i */
  const void *values;   /* [num_values] ids */
  int64_t num_values;
  const void *lengths;  /* [K * B] ids per bag; exactly one of lengths and offsets */
  const void *offsets;  /* [K * B + 1], from 0, never decreasing, the last equal to num_values */
  const float *weights; /* [num_weights] one per id for a weighted batch, else NULL */
  int64_t num_weights;
  void *output;              /* [B, output_row_stride] elements of the model's output type, rows in sample order */
  uint64_t output_bytes;     /* of the buffer behind output */
  int64_t output_row_stride; /* in elements; 0: the total of all dims */
  void *workspace;           /* of workspace_size() bytes at 64-byte alignment, or NULL: the library allocates */
  uint64_t workspace_bytes;
  int32_t values_type;  /* TREC_INT32 or TREC_INT64 */
  int32_t lengths_type; /* likewise */
  int32_t offsets_type; /* likewise */
  int32_t reserved;
  /* For a model without pooling, instead of output: one buffer per output key, a row of the key's dim per id of its
   * feature, in the order of the ids. A buffer may be NULL where its feature has no ids, both arrays may where the
   * batch has none. For a model that regroups: one buffer [B, dim] per group, without gaps. */
  void *const *outputs;
  const uint64_t *outputs_bytes; /* of each buffer */
  /* For a model that takes several batches: all but the first, whose fields are those above. They share batch_size, and
   * all have one size, by which they lie apart. */
  const trec_batch *batches;
  int64_t num_batches;
  void *
      stream; /* on a GPU: a CUstream of the device's primary context, which is a cudaStream_t; NULL: the default one */
} trec_forward_args;

/* Totals since create, over all threads. */
typedef struct trec_counters {
  size_t size;
  int64_t forwards; /* calls of forward that succeeded */
  int64_t bad_ids;  /* ids outside their tables, under any policy */
  int64_t failed;   /* calls of forward that failed */
} trec_counters;

/* What create made of a weights file. How many of its bytes are on huge pages the system says (AnonHugePages in
 * /proc/self/smaps). */
typedef struct trec_weights_info {
  size_t size;
  int32_t pages; /* TREC_PAGES_MAP or TREC_PAGES_HUGE */
  int32_t reserved;
  const void *data; /* the file in memory; NULL where the weights came from elsewhere, and then bytes is 0 */
  uint64_t bytes;
  const char *reason; /* why it is so, in a few words; lives as long as the library */
} trec_weights_info;

/* Where a table lies, and how many bytes it takes there. */
typedef struct trec_table_info {
  size_t size;
  int32_t place; /* TREC_PLACE_DEVICE, TREC_PLACE_HOST (as all tables on a CPU) or TREC_PLACE_CALLERS */
  int32_t reserved;
  uint64_t bytes;
  uint64_t persistent_bytes; /* of them, that l2_persist_bytes keeps in the cache once they are read */
} trec_table_info;

typedef struct trec_model trec_model;

typedef struct trec_api {
  size_t size;
  uint32_t abi_version;
  uint32_t reserved;
  const char *metadata; /* JSON: features, tables, output keys, CPU levels, kernels; NUL-terminated */
  uint64_t metadata_bytes;
  const void *ir; /* MLIR bytecode of the model as imported, what `trec-run --check` interprets */
  uint64_t ir_bytes;
  /* Sets *model, or sets it to NULL and returns an error. */
  int32_t (*create)(const trec_create_options *options, trec_model **model, trec_error *error);
  void (*destroy)(trec_model *model); /* NULL is allowed */
  /* Bytes that forward needs in workspace for this shape; num_keys is the sum over all batches. On a GPU workspace is
   * only used for batches that come with lengths. */
  int32_t (*workspace_size)(const trec_model *model, int64_t num_keys, int64_t batch_size, uint64_t *bytes,
                            trec_error *error);
  /* Computes all outputs. After an error their contents are unspecified. */
  int32_t (*forward)(trec_model *model, const trec_forward_args *args, trec_error *error);
  int32_t (*counters)(const trec_model *model, trec_counters *counters);
  /* Name of the CPU level that create chose for this model, such as "x86-64-v3"; NULL on a GPU. */
  const char *(*cpu_level)(const trec_model *model);
  /* What the device has found wrong in earlier calls of forward and was not returned yet; TREC_OK where it has found
   * nothing, or not yet: to know of all calls, synchronize with their streams first. Never waits. */
  int32_t (*poll)(trec_model *model, trec_error *error);
  int32_t (*weights_info)(const trec_model *model, trec_weights_info *info);
  /* Looks for exact sums again, in all tables as they now are, whatever the option of create was. To be called after
   * rows were changed, as these between calls of forward. */
  int32_t (*check_exactness)(trec_model *model, trec_error *error);
  /* The longest bag whose sum over this table is known to be exact; 0: none is, -1: there is no such table. */
  int64_t (*certified_length)(const trec_model *model, int64_t table);
  int32_t (*table_info)(const trec_model *model, int64_t table, trec_table_info *info);
} trec_api;

/* The type of the exported symbol. Returns NULL, with `error` naming both versions, where abi_version is not this
 * library's. The result lives as long as the library is loaded. */
typedef const trec_api *(*trec_query)(uint32_t abi_version, trec_error *error);

#ifdef __cplusplus
}
#endif
#endif /* TREC_MODEL_ABI_H */
