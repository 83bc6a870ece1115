/* Reading a safetensors file that lies in memory: 8 bytes with the length of a JSON header, the header, the data.
 *
 * Nothing is trusted: every number of the header is checked against the bytes that there are, with overflow in mind.
 */
#ifndef TREC_RUNTIME_SAFETENSORS_H
#define TREC_RUNTIME_SAFETENSORS_H

#include "Json.h"
#include "trec/Runtime/ModelABI.h"

struct trec_tensor {
  const char *name;
  size_t name_length;
  int key; /* token of its name; the next one is its description */
};

struct trec_safetensors {
  const uint8_t *bytes;
  uint64_t size;
  uint64_t data;      /* where the header ends */
  const char *origin; /* for messages: which file, or "weights in memory" */
  struct trec_json json;
  char *names;
  struct trec_tensor *tensors; /* sorted by name */
  size_t num_tensors;
};

/* Reads the header; `origin` must outlive the reader. After a failure there is nothing to close. */
int32_t trec_safetensors_open(struct trec_safetensors *file, trec_error *error);
void trec_safetensors_close(struct trec_safetensors *file);

/* A tensor that a model needs. */
struct trec_wanted {
  const char *what; /* "table" or "parameter", for messages */
  const char *name;
  const char *dtype; /* as safetensors spells it */
  int dimensions;    /* 2 or 1 */
  int element_bytes; /* of the dtype */
};

/* Finds a tensor; of one dimension it has a row per element. */
int32_t trec_safetensors_find(const struct trec_safetensors *file, const struct trec_wanted *wanted,
                              struct trec_table_data *found, trec_error *error);

#endif /* TREC_RUNTIME_SAFETENSORS_H */
