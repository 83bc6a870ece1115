/* The caller of one model: what it was made from, and a call for a plain batch. */
#include "TorchCall.h"

#include <string.h>
#include <structmember.h>

PyTypeObject *trec_caller_type;

static const char *const object_names[] = {
#define TREC_OBJECT(name) #name,
#include "Names.def"
};

/*===-- Making a caller ---------------------------------------------------===*/

static bool get_number(PyObject *settings, const char *name, int64_t *result) {
  PyObject *value = PyObject_GetAttrString(settings, name);
  *result = value ? PyLong_AsLongLong(value) : -1;
  Py_XDECREF(value);
  return !PyErr_Occurred();
}

const struct dlpack_exchange *trec_find_exchange(PyObject *capsule) {
  const struct dlpack_header *header = PyCapsule_GetPointer(capsule, DLPACK_EXCHANGE_CAPSULE);
  while (header && header->major > DLPACK_MAJOR)
    header = header->older;
  const struct dlpack_exchange *result = (const struct dlpack_exchange *)header;
  if (result && header->major == DLPACK_MAJOR && result->view)
    return result;
  if (!PyErr_Occurred())
    PyErr_Format(PyExc_ValueError, "expected DLPack's functions of major version %d that view tensors", DLPACK_MAJOR);
  return NULL;
}

static bool read_numbers(struct trec_caller *self, PyObject *settings) {
  int64_t address, gpu, is_weighted;
  if (!get_number(settings, "forward", &address) || !get_number(settings, "gpu", &gpu) ||
      !get_number(settings, "is_weighted", &is_weighted) || !get_number(settings, "columns", &self->columns) ||
      !get_number(settings, "row_bytes", &self->row_bytes) || !get_number(settings, "scan_blocks", &self->scan_blocks))
    return false;
  memcpy(&self->forward, &address, sizeof self->forward);
  self->is_weighted = is_weighted != 0;
  self->device.type = gpu < 0 ? DLPACK_CPU : DLPACK_CUDA;
  self->device.index = gpu < 0 ? 0 : (int32_t)gpu;
  return true;
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  PyObject *settings;
  static char *names[] = {"settings", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Caller", names, &settings))
    return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  struct trec_caller *self = (struct trec_caller *)allocate(type, 0);
  bool is_made = self && read_numbers(self, settings);
  for (int i = 0; is_made && i < NUM_OBJECTS; ++i)
    is_made = (self->objects[i] = PyObject_GetAttrString(settings, object_names[i])) != NULL;
  if (is_made)
    is_made = (self->exchange = trec_find_exchange(self->objects[OBJECT_exchange])) != NULL;
  if (!is_made) {
    Py_XDECREF(self);
    return NULL;
  }
  self->allocate_result = (allocfunc)PyType_GetSlot((PyTypeObject *)self->objects[OBJECT_result_type], Py_tp_alloc);
  return (PyObject *)self;
}

static int traverse(struct trec_caller *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  for (int i = 0; i < NUM_OBJECTS; ++i)
    Py_VISIT(self->objects[i]);
  Py_VISIT(self->slots);
  Py_VISIT(self->keys);
  return 0;
}

static int clear(struct trec_caller *self) {
  for (int i = 0; i < NUM_OBJECTS; ++i)
    Py_CLEAR(self->objects[i]);
  Py_CLEAR(self->slots);
  Py_CLEAR(self->keys);
  Py_CLEAR(self->output.arguments);
  Py_CLEAR(self->workspace.arguments);
  return 0;
}

static void destroy(struct trec_caller *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

/*===-- A call ------------------------------------------------------------===*/

/* The handle for the present number of threads, and the model's address in it. NULL without an exception: there is none
 * yet. */
static PyObject *find_handle(struct trec_caller *self, trec_model **model) {
  PyObject *threads = PyObject_CallNoArgs(self->objects[OBJECT_get_threads]);
  PyObject *handle = threads ? PyDict_GetItemWithError(self->objects[OBJECT_handles], threads) : NULL;
  Py_XDECREF(threads);
  PyObject *address = handle ? PyObject_GetAttr(Py_NewRef(handle), trec_names[NAME_address]) : NULL;
  *model = address ? PyLong_AsVoidPtr(address) : NULL;
  Py_XDECREF(address);
  if (!PyErr_Occurred() && *model)
    return handle;
  PyErr_Clear();
  Py_XDECREF(handle);
  return NULL;
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
static PyObject *find_arguments(struct trec_shape *shape, int64_t rows, int64_t columns, PyObject *dtype) {
  if (shape->arguments && shape->rows == rows)
    return Py_NewRef(shape->arguments);
  PyObject *made = Py_BuildValue("((LL)(Li)O)", (long long)rows, (long long)columns, (long long)columns, 1, dtype);
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
  PyObject *arguments = find_arguments(&self->workspace, count, 1, self->objects[OBJECT_workspace_dtype]);
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
static bool forward(struct trec_caller *self, trec_model *model, const trec_forward_args *args) {
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

/* An object of the result's class with the template's attributes, but for its values. */
static PyObject *make_result(struct trec_caller *self, PyObject *output) {
  PyObject *attributes = PyDict_Copy(self->objects[OBJECT_template]);
  PyObject *result = attributes ? self->allocate_result((PyTypeObject *)self->objects[OBJECT_result_type], 0) : NULL;
  if (result && (PyDict_SetItem(attributes, trec_names[NAME__values], output) ||
                 PyObject_GenericSetDict(result, attributes, NULL)))
    Py_CLEAR(result);
  Py_XDECREF(attributes);
  return result;
}

static PyObject *run(struct trec_caller *self, trec_model *model, const struct trec_plain_batch *batch) {
  trec_forward_args args = {0};
  describe(batch, &args);
  args.output_bytes = (uint64_t)batch->size * (uint64_t)self->row_bytes;
  const bool is_on_gpu = self->device.type == DLPACK_CUDA;
  if (is_on_gpu && self->exchange->current_stream(self->device.type, self->device.index, &args.stream))
    return NULL;
  PyObject *arguments = find_arguments(&self->output, batch->size, self->columns, self->objects[OBJECT_output_dtype]);
  PyObject *output = make_tensor(self, arguments, &args.output), *workspace = NULL, *result = NULL;
  const bool needs_workspace = is_on_gpu && args.lengths;
  if (output && needs_workspace)
    workspace = make_workspace(self, batch, &args);
  if (output && (workspace || !needs_workspace) && forward(self, model, &args)) {
    ++self->calls;
    result = make_result(self, output);
  }
  Py_XDECREF(workspace);
  Py_XDECREF(output);
  return result;
}

PyObject *trec_call(struct trec_caller *self, PyObject *features) {
  struct trec_plain_batch batch = {0};
  trec_model *model = NULL;
  PyObject *handle = NULL;
  const bool is_plain = trec_read_batch(self, features, &batch) && (handle = find_handle(self, &model));
  PyObject *result = is_plain ? run(self, model, &batch) : Py_NewRef(Py_None);
  trec_release_batch(&batch);
  Py_XDECREF(handle);
  return result;
}

static PyObject *call(PyObject *self, PyObject *args, PyObject *kwargs) {
  if (PyTuple_Size(args) != 1 || (kwargs && PyDict_Size(kwargs)))
    return PyErr_Format(PyExc_TypeError, "a caller takes one batch");
  return trec_call((struct trec_caller *)self, PyTuple_GetItem(args, 0));
}

/*===-- The type ----------------------------------------------------------===*/

static PyMemberDef members[] = {
    {"calls", T_ULONGLONG, offsetof(struct trec_caller, calls), READONLY, "Calls of the model that it has made."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Calls one model for plain batches, and gives None for others.\n\n"
                "Made from the settings that trec.torch.extension.PlainCall names."},
    {Py_tp_new, make},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, destroy},
    {Py_tp_call, call},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {"TorchCall.Caller", sizeof(struct trec_caller), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                           slots};

int trec_add_caller(PyObject *module) {
  trec_caller_type = (PyTypeObject *)PyType_FromSpec(&spec);
  return trec_caller_type ? PyModule_AddObjectRef(module, "Caller", (PyObject *)trec_caller_type) : -1;
}
