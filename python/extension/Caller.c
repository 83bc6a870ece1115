/* The caller of one model: what it is made from. Call.c has what it does. */
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
      !get_number(settings, "is_weighted", &is_weighted) || !get_number(settings, "item_bytes", &self->item_bytes) ||
      !get_number(settings, "scan_blocks", &self->scan_blocks))
    return false;
  memcpy(&self->forward, &address, sizeof self->forward);
  self->is_weighted = is_weighted != 0;
  self->device.type = gpu < 0 ? DLPACK_CPU : DLPACK_CUDA;
  self->device.index = gpu < 0 ? 0 : (int32_t)gpu;
  return true;
}

/* Of a model with pooling there is one output. */
static bool read_columns(struct trec_caller *self) {
  PyObject *columns = self->objects[OBJECT_columns];
  const Py_ssize_t count = PyList_Check(columns) ? PyList_Size(columns) : 0;
  self->outputs = PyMem_Calloc((size_t)count, sizeof *self->outputs);
  if (!count || !self->outputs) {
    PyErr_SetString(PyExc_ValueError, "columns: expected a list of at least one number");
    return false;
  }
  self->num_outputs = count;
  self->workspace.columns = 1;
  for (Py_ssize_t i = 0; i < count; ++i)
    self->outputs[i].columns = PyLong_AsLongLong(PyList_GetItem(columns, i));
  return !PyErr_Occurred();
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
  if (!is_made || !read_columns(self)) {
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
  for (Py_ssize_t i = 0; i < self->num_outputs; ++i)
    Py_CLEAR(self->outputs[i].arguments);
  Py_CLEAR(self->workspace.arguments);
  return 0;
}

static void destroy(struct trec_caller *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  PyMem_Free(self->outputs);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
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
