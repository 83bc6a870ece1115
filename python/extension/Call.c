/* A call of a model for a plain batch. */
#include "TorchCall.h"

/* The handle for the present number of threads, and the model's address in it; if there is none yet, no exception. */
static bool find_handle(struct trec_caller *self, struct trec_plain_batch *batch) {
  PyObject *threads = PyObject_CallNoArgs(self->objects[OBJECT_get_threads]);
  batch->handle = threads ? Py_XNewRef(PyDict_GetItemWithError(self->objects[OBJECT_handles], threads)) : NULL;
  Py_XDECREF(threads);
  PyObject *address = batch->handle ? PyObject_GetAttr(batch->handle, trec_names[NAME_address]) : NULL;
  batch->model = address ? PyLong_AsVoidPtr(address) : NULL;
  Py_XDECREF(address);
  PyErr_Clear();
  return batch->model != NULL;
}

/* Whether what allocates without naming a GPU would do so on the right one; -1 with an exception. */
static int is_current(struct trec_caller *self) {
  PyObject *function = self->objects[OBJECT_get_device];
  if (function == Py_None)
    return 1;
  PyObject *number = PyObject_CallNoArgs(function);
  const int is_same = number && PyLong_AsLong(number) == self->device.index;
  Py_XDECREF(number);
  return PyErr_Occurred() ? -1 : is_same;
}

/* The arguments of an allocator: shape, strides, kind of elements. */
static PyObject *find_arguments(struct trec_shape *shape, int64_t rows, PyObject *dtype) {
  if (shape->arguments && shape->rows == rows)
    return Py_NewRef(shape->arguments);
  const long long columns = shape->columns;
  PyObject *made = Py_BuildValue("((LL)(Li)O)", (long long)rows, columns, columns, 1, dtype);
  if (!made)
    return NULL;
  PyObject *old = shape->arguments;
  shape->rows = rows;
  shape->arguments = Py_NewRef(made);
  Py_XDECREF(old);
  return made;
}

/* Takes the reference to `arguments`, which may be NULL. */
static PyObject *make_tensor(struct trec_caller *self, PyObject *arguments, void **address) {
  const int current = arguments ? is_current(self) : -1;
  if (current < 0) {
    Py_XDECREF(arguments);
    return NULL;
  }
  PyObject *allocate = self->objects[current ? OBJECT_allocate : OBJECT_allocate_there];
  PyObject *result = PyObject_Call(allocate, arguments, NULL);
  Py_DECREF(arguments);
  struct dlpack_tensor view;
  if (!result || self->exchange->view(result, &view)) {
    Py_XDECREF(result);
    return NULL;
  }
  *address = (char *)view.data + view.byte_offset;
  return result;
}

/* Room for the offsets of a batch that comes with lengths, as trec/torch/place.py has it. */
static PyObject *make_workspace(struct trec_caller *self, const struct trec_plain_batch *batch,
                                trec_forward_args *args) {
  const int64_t count = (batch->bounds.count + self->scan_blocks + 8) / 8 * 8;
  args->workspace_bytes = (uint64_t)count * sizeof(int64_t);
  PyObject *arguments = find_arguments(&self->workspace, count, self->objects[OBJECT_workspace_dtype]);
  return make_tensor(self, arguments, &args->workspace);
}

static void describe(const struct trec_plain_batch *batch, trec_forward_args *args) {
  args->size = sizeof *args;
  args->batch_size = batch->size;
  args->num_keys = batch->num_keys;
  args->slots = batch->places;
  args->values = batch->values.data;
  args->num_values = batch->values.count;
  args->values_type = batch->values.type;
  args->weights = batch->weights.data;
  args->num_weights = batch->weights.count;
  if (batch->has_offsets) {
    args->offsets = batch->bounds.data;
    args->offsets_type = batch->bounds.type;
  } else {
    args->lengths = batch->bounds.data;
    args->lengths_type = batch->bounds.type;
  }
}

/* Calls the model without the interpreter's lock; false with an exception. */
static bool call_model(struct trec_caller *self, trec_model *model, const trec_forward_args *args) {
  trec_error error = {.size = sizeof error};
  PyThreadState *state = PyEval_SaveThread();
  const int32_t status = self->forward(model, args, &error);
  PyEval_RestoreThread(state);
  if (!status)
    return true;
  PyObject *nothing =
      PyObject_CallFunction(self->objects[OBJECT_fail], "iy#", status, &error, (Py_ssize_t)sizeof error);
  if (nothing)
    PyErr_Format(PyExc_SystemError, "status %d of a model is no error", status);
  Py_XDECREF(nothing);
  return false;
}

PyObject *trec_make_output(struct trec_caller *self, Py_ssize_t index, int64_t rows, void **address) {
  PyObject *arguments = find_arguments(&self->outputs[index], rows, self->objects[OBJECT_output_dtype]);
  return make_tensor(self, arguments, address);
}

PyObject *trec_make_result(struct trec_caller *self, PyObject *values, PyObject *lengths) {
  PyObject *attributes = PyDict_Copy(self->objects[OBJECT_template]);
  PyObject *result = attributes ? self->allocate_result((PyTypeObject *)self->objects[OBJECT_result_type], 0) : NULL;
  if (result && (PyDict_SetItem(attributes, trec_names[NAME__values], values) ||
                 (lengths && PyDict_SetItem(attributes, trec_names[NAME__lengths], lengths)) ||
                 PyObject_SetAttr(result, trec_names[NAME___dict__], attributes)))
    Py_CLEAR(result);
  Py_XDECREF(attributes);
  return result;
}

bool trec_run(struct trec_caller *self, const struct trec_plain_batch *batch, trec_forward_args *args) {
  describe(batch, args);
  const bool is_on_gpu = self->device.type == DLPACK_CUDA;
  if (is_on_gpu && self->exchange->current_stream(self->device.type, self->device.index, &args->stream))
    return false;
  const bool needs_workspace = is_on_gpu && args->lengths;
  /* Must not be given back before the launch. */
  PyObject *workspace = needs_workspace ? make_workspace(self, batch, args) : NULL;
  const bool is_done = (workspace || !needs_workspace) && call_model(self, batch->model, args);
  Py_XDECREF(workspace);
  self->calls += is_done;
  return is_done;
}

static PyObject *pool(struct trec_caller *self, const struct trec_plain_batch *batch) {
  trec_forward_args args = {0};
  args.output_bytes = (uint64_t)(batch->size * self->outputs->columns * self->item_bytes);
  PyObject *output = trec_make_output(self, 0, batch->size, &args.output);
  PyObject *result = output && trec_run(self, batch, &args) ? trec_make_result(self, output, NULL) : NULL;
  Py_XDECREF(output);
  return result;
}

PyObject *trec_call(struct trec_caller *self, PyObject *features) {
  struct trec_plain_batch batch = {0};
  PyObject *result = NULL;
  if (trec_read_batch(self, features, &batch) && find_handle(self, &batch)) {
    const bool is_pooled = self->objects[OBJECT_names] == Py_None;
    result = is_pooled ? pool(self, &batch) : trec_look_up(self, features, &batch);
  }
  trec_release_batch(&batch);
  if (!result && !PyErr_Occurred())
    Py_RETURN_NONE;
  return result;
}
