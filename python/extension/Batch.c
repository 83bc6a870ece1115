/* Reads a KeyedJaggedTensor as trec/torch/batch.py does, as far as all of it is as it should be. */
#include "TorchCall.h"

static PyObject *get(PyObject *object, int name) { return PyObject_GetAttr(object, trec_names[name]); }

static int32_t type_of(struct dlpack_element element) {
  if (element.lanes != 1)
    return 0;
  if (element.kind == DLPACK_INT)
    return element.bits == 64 ? TREC_INT64 : element.bits == 32 ? TREC_INT32 : 0;
  return element.kind == DLPACK_FLOAT && element.bits == 32 ? TREC_FLOAT32 : 0;
}

/* Takes the reference to `tensor`, which may be NULL. */
static bool read_vector(struct trec_caller *self, PyObject *tensor, struct trec_vector *result) {
  struct dlpack_tensor view;
  result->owner = tensor;
  if (!tensor || Py_TYPE(tensor) != (PyTypeObject *)self->objects[OBJECT_tensor_type])
    return false;
  if (self->exchange->view(tensor, &view) || view.num_dims != 1 || !view.strides || view.strides[0] != 1)
    return false;
  if (view.device.type != self->device.type || view.device.index != self->device.index)
    return false;
  result->data = (char *)view.data + view.byte_offset;
  result->count = view.shape[0];
  result->type = type_of(view.element);
  return result->type != 0;
}

static bool is_of_ids(const struct trec_vector *vector) {
  return vector->type == TREC_INT32 || vector->type == TREC_INT64;
}

/* Keeps what the reader found last; a later list of keys is looked for by Python. */
static bool learn_slots(struct trec_caller *self, PyObject *slots) {
  PyObject *keys = get(slots, NAME_keys), *count = get(slots, NAME_count), *address = get(slots, NAME_address);
  bool is_known = keys && count && address;
  if (is_known) {
    PyObject *old_slots = self->slots, *old_keys = self->keys;
    self->num_keys = PyLong_AsLongLong(count);
    self->places = PyLong_AsVoidPtr(address);
    self->slots = Py_NewRef(slots);
    self->keys = Py_NewRef(keys);
    Py_XDECREF(old_slots);
    Py_XDECREF(old_keys);
  }
  Py_XDECREF(keys);
  Py_XDECREF(count);
  Py_XDECREF(address);
  return is_known && !PyErr_Occurred();
}

static bool find_slots(struct trec_caller *self, PyObject *features, struct trec_plain_batch *result) {
  result->slots = get(self->objects[OBJECT_reader], NAME__last);
  if (!result->slots || (result->slots != self->slots && !learn_slots(self, result->slots)))
    return false;
  result->num_keys = self->num_keys;
  result->places = self->places;
  PyObject *known = Py_NewRef(self->keys), *keys = get(features, NAME__keys);
  const bool is_same = keys && PyList_CheckExact(keys) && PyObject_RichCompareBool(keys, known, Py_EQ) == 1;
  Py_XDECREF(keys);
  Py_DECREF(known);
  return is_same && result->num_keys > 0;
}

static bool is_none(PyObject *features, int name) {
  PyObject *value = get(features, name);
  Py_XDECREF(value);
  return value == Py_None;
}

/* Offsets where there are some, else lengths: as many as a number of samples needs, which is the batch's if it has one.
 */
static bool read_bounds(struct trec_caller *self, PyObject *features, struct trec_plain_batch *result) {
  PyObject *bounds = get(features, NAME__offsets);
  result->has_offsets = bounds != Py_None;
  if (!result->has_offsets) {
    Py_DECREF(bounds);
    bounds = get(features, NAME__lengths);
  }
  if (!read_vector(self, bounds, &result->bounds) || !is_of_ids(&result->bounds))
    return false;
  const int64_t bags = result->bounds.count - result->has_offsets;
  result->size = bags / result->num_keys;
  PyObject *stride = get(features, NAME__stride);
  const bool is_right = stride == Py_None || (stride && PyLong_AsLongLong(stride) == result->size);
  Py_XDECREF(stride);
  return is_right && result->size > 0 && bags % result->num_keys == 0;
}

static bool read_plain(struct trec_caller *self, PyObject *features, struct trec_plain_batch *result) {
  if (Py_TYPE(features) != (PyTypeObject *)self->objects[OBJECT_batch_type])
    return false;
  if (!is_none(features, NAME__stride_per_key_per_rank) || !is_none(features, NAME__inverse_indices))
    return false;
  if (!find_slots(self, features, result) || !read_bounds(self, features, result))
    return false;
  if (!read_vector(self, get(features, NAME__values), &result->values) || !is_of_ids(&result->values))
    return false;
  if (!self->is_weighted)
    return true;
  return read_vector(self, get(features, NAME__weights), &result->weights) && result->weights.type == TREC_FLOAT32;
}

bool trec_read_batch(struct trec_caller *self, PyObject *features, struct trec_plain_batch *result) {
  if (read_plain(self, features, result))
    return true;
  PyErr_Clear();
  return false;
}

void trec_release_batch(struct trec_plain_batch *batch) {
  Py_XDECREF(batch->values.owner);
  Py_XDECREF(batch->bounds.owner);
  Py_XDECREF(batch->weights.owner);
  Py_XDECREF(batch->slots);
  Py_XDECREF(batch->handle);
}
