/* What the files of the extension share. The caller of a model makes a call for
 * a batch that is as it should be, and nothing else: of any other batch, and of
 * a state that it does not know, it says so without having done anything, and
 * Python code decides. So messages, conversions and rare cases are in one
 * place, and that is not here.
 */
#ifndef TREC_EXTENSION_TORCH_CALL_H
#define TREC_EXTENSION_TORCH_CALL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "DLPack.h"
#include "trec/Runtime/ModelABI.h"

#include <stdbool.h>

/* Indices of what a caller is made from. */
enum {
#define TREC_OBJECT(name) OBJECT_##name,
#include "Names.def"
  NUM_OBJECTS
};

/* The last shape of some tensor, and what an allocator is called with for it.
 */
struct trec_shape {
  int64_t columns;
  int64_t rows;
  PyObject *arguments;
};

struct trec_caller {
  PyObject base;
  PyObject *objects[NUM_OBJECTS];
  const struct dlpack_exchange *exchange;
  int32_t (*forward)(trec_model *, const trec_forward_args *, trec_error *);
  allocfunc allocate_result;
  int64_t item_bytes;
  int64_t scan_blocks;
  struct dlpack_device device;
  bool is_weighted;
  /* Of the list of keys that was met last: the reader's object for it, and what
   * that says. */
  PyObject *slots;
  PyObject *keys;
  int64_t num_keys;
  const int32_t *places;
  struct trec_shape *outputs;
  Py_ssize_t num_outputs;
  struct trec_shape workspace;
  uint64_t calls;
};

/* A tensor of one dimension without gaps. */
struct trec_vector {
  PyObject *owner;
  void *data;
  int64_t count;
  int32_t type;
};

/* A batch as a model takes it, and the objects that own what it points to. */
struct trec_plain_batch {
  int64_t size;
  int64_t num_keys;
  const int32_t *places;
  bool has_offsets;
  struct trec_vector values;
  struct trec_vector bounds;
  struct trec_vector weights;
  /* Owns `places`. */
  PyObject *slots;
  /* Owns `model`. */
  PyObject *handle;
  trec_model *model;
};

/* Names of attributes, which are made once. */
enum {
#define TREC_NAME(name) NAME_##name,
#include "Names.def"
  NUM_NAMES
};
extern PyObject *trec_names[NUM_NAMES];

extern PyTypeObject *trec_caller_type;

/* Whether the batch is plain; if not, no exception is set. What is in `result`
 * is released in either case. */
bool trec_read_batch(struct trec_caller *self, PyObject *features,
                     struct trec_plain_batch *result);
void trec_release_batch(struct trec_plain_batch *batch);

/* The result for a plain batch, None for another, NULL with an exception where
 * the model or an allocator failed. */
PyObject *trec_call(struct trec_caller *self, PyObject *features);

/* New tensors on the module's device, and results made of them; NULL with an
 * exception. */
PyObject *trec_make_output(struct trec_caller *self, Py_ssize_t index,
                           int64_t rows, void **address);
/* An object of the result's class with the template's attributes, but for its
 * values and, if not NULL, lengths. */
PyObject *trec_make_result(struct trec_caller *self, PyObject *values,
                           PyObject *lengths);

/* Calls the model; `args` has the outputs. False with an exception. */
bool trec_run(struct trec_caller *self, const struct trec_plain_batch *batch,
              trec_forward_args *args);

/* A dict of results by name, of a model without pooling; NULL without an
 * exception where the batch is not plain. */
PyObject *trec_look_up(struct trec_caller *self, PyObject *features,
                       const struct trec_plain_batch *batch);

/* Adds the type to the module: 0, or -1 with an exception. */
int trec_add_caller(PyObject *module);

/* The functions of the major version that is known here, or NULL with an
 * exception. */
const struct dlpack_exchange *trec_find_exchange(PyObject *capsule);

/* set_torch(exchange, nn.Module, its __call__, dicts of hooks of all modules,
 * what says that torch.jit traces) */
PyObject *trec_set_torch(PyObject *module, PyObject *args);

/* call_module(module, args): None where this call is torch's to make, else as
 * trec_call. */
PyObject *trec_call_module(PyObject *module, PyObject *const *args,
                           Py_ssize_t num_args);

#endif
