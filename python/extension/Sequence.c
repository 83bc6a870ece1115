/* A call of a model without pooling: an output for each feature, whose rows are the feature's ids. How many these are
 * is known from the batch's lengths or offsets, or on a GPU, where reading them would mean to wait, from what the batch
 * says.
 */
#include "TorchCall.h"

/* The lengths of a key from `begin` on, or its offsets; whoever gave them may have put anything there. */
static uint64_t count_ids(const struct trec_vector *bounds, bool has_offsets, int64_t begin, int64_t size) {
  const bool is_wide = bounds->type == TREC_INT64;
  const int64_t *wide = bounds->data;
  const int32_t *narrow = bounds->data;
  if (has_offsets) {
    const int64_t end = begin + size;
    return is_wide ? (uint64_t)wide[end] - (uint64_t)wide[begin] : (uint64_t)((int64_t)narrow[end] - narrow[begin]);
  }
  uint64_t result = 0;
  for (int64_t i = begin; i < begin + size; ++i)
    result += is_wide ? (uint64_t)wide[i] : (uint64_t)(int64_t)narrow[i];
  return result;
}

/* As the batch itself has them, if it does. */
static bool read_totals(PyObject *features, int64_t num_keys, int64_t *totals) {
  PyObject *known = PyObject_GetAttr(features, trec_names[NAME__length_per_key]);
  const bool is_known = known && PyList_CheckExact(known) && PyList_Size(known) == num_keys;
  for (int64_t key = 0; is_known && key < num_keys; ++key)
    totals[key] = PyLong_AsLongLong(PyList_GetItem(known, key));
  Py_XDECREF(known);
  return is_known && !PyErr_Occurred();
}

/* The number of ids of each key, if they are none below 0 and add up to the values. */
static bool find_totals(struct trec_caller *self, PyObject *features, const struct trec_plain_batch *batch,
                        int64_t *totals) {
  if (self->device.type == DLPACK_CUDA && !read_totals(features, batch->num_keys, totals))
    return false;
  int64_t left = batch->values.count;
  for (int64_t key = 0; key < batch->num_keys; ++key) {
    if (self->device.type == DLPACK_CPU)
      totals[key] = (int64_t)count_ids(&batch->bounds, batch->has_offsets, key * batch->size, batch->size);
    if (totals[key] < 0 || totals[key] > left)
      return false;
    left -= totals[key];
  }
  return left == 0;
}

/* What a call has for each output: the place of its key in the batch, its tensor, and that one's address and size. */
struct outputs {
  Py_ssize_t count;
  int64_t *places;
  PyObject **tensors;
  void **addresses;
  uint64_t *bytes;
};

static bool find_places(PyObject *slots, const struct trec_plain_batch *batch, struct outputs *result) {
  PyObject *places = PyObject_GetAttr(slots, trec_names[NAME_places]);
  bool is_right = places && PyList_CheckExact(places) && PyList_Size(places) == result->count;
  for (Py_ssize_t i = 0; is_right && i < result->count; ++i) {
    result->places[i] = PyLong_AsLongLong(PyList_GetItem(places, i));
    is_right = result->places[i] >= 0 && result->places[i] < batch->num_keys;
  }
  Py_XDECREF(places);
  return is_right;
}

static bool make_outputs(struct trec_caller *self, const int64_t *totals, struct outputs *result) {
  for (Py_ssize_t i = 0; i < result->count; ++i) {
    const int64_t rows = totals[result->places[i]];
    result->bytes[i] = (uint64_t)(rows * self->outputs[i].columns * self->item_bytes);
    result->tensors[i] = trec_make_output(self, i, rows, &result->addresses[i]);
    if (!result->tensors[i])
      return false;
  }
  return true;
}

/* A tuple with the lengths of each key; NULL with an exception. */
static PyObject *split_lengths(struct trec_caller *self, PyObject *features, const struct trec_plain_batch *batch) {
  PyObject *lengths = PyObject_GetAttr(features, trec_names[NAME__lengths]);
  if (!lengths)
    return NULL;
  PyObject *result = PyObject_CallFunction(self->objects[OBJECT_split_lengths], "OOLL", lengths, batch->bounds.owner,
                                           (long long)batch->num_keys, (long long)batch->size);
  Py_DECREF(lengths);
  if (!result || (PyTuple_Check(result) && PyTuple_Size(result) == batch->num_keys))
    return result;
  Py_DECREF(result);
  return PyErr_Format(PyExc_TypeError, "split_lengths: expected a tuple of %zd", (Py_ssize_t)batch->num_keys);
}

static PyObject *assemble(struct trec_caller *self, const struct outputs *outputs, PyObject *lengths) {
  PyObject *result = PyDict_New();
  for (Py_ssize_t i = 0; result && i < outputs->count; ++i) {
    PyObject *of_key = PyTuple_GetItem(lengths, outputs->places[i]);
    PyObject *jagged = trec_make_result(self, outputs->tensors[i], of_key);
    PyObject *name = jagged ? PyList_GetItem(self->objects[OBJECT_names], i) : NULL;
    if (!name || PyDict_SetItem(result, name, jagged))
      Py_CLEAR(result);
    Py_XDECREF(jagged);
  }
  return result;
}

static PyObject *look_up(struct trec_caller *self, PyObject *features, const struct trec_plain_batch *batch,
                         struct outputs *outputs, int64_t *totals) {
  if (!find_totals(self, features, batch, totals) || !find_places(batch->slots, batch, outputs)) {
    PyErr_Clear();
    return NULL;
  }
  trec_forward_args args = {0};
  args.outputs = outputs->addresses;
  args.outputs_bytes = outputs->bytes;
  PyObject *lengths = split_lengths(self, features, batch), *result = NULL;
  if (lengths && make_outputs(self, totals, outputs) && trec_run(self, batch, &args))
    result = assemble(self, outputs, lengths);
  Py_XDECREF(lengths);
  return result;
}

PyObject *trec_look_up(struct trec_caller *self, PyObject *features, const struct trec_plain_batch *batch) {
  /* All have elements of 8 bytes. */
  const size_t count = (size_t)self->num_outputs;
  int64_t *memory = PyMem_Calloc((size_t)batch->num_keys + 4 * count, sizeof *memory);
  if (!memory)
    return PyErr_NoMemory();
  int64_t *places = memory + batch->num_keys;
  struct outputs outputs = {self->num_outputs, places, (PyObject **)(places + count), (void **)(places + 2 * count),
                            (uint64_t *)(places + 3 * count)};
  PyObject *result = look_up(self, features, batch, &outputs, memory);
  for (size_t i = 0; i < count; ++i)
    Py_XDECREF(outputs.tensors[i]);
  PyMem_Free(memory);
  return result;
}
