/* A call of a module that goes straight to its caller. torch.nn.Module's, which looks for hooks in two functions of
 * Python before it calls forward, takes as long as a small model does. It still is to be called as soon as anything but
 * forward would have to happen: hooks, torch.compile, traces, a forward of one's own, or where something has been put
 * in its place, as torch.fx does while it traces.
 */
#include "TorchCall.h"

enum { NUM_GLOBAL_HOOKS = 4 };

/* What set_torch was called with. */
static PyObject *module_class;
static PyObject *module_call;
static PyObject *global_hooks[NUM_GLOBAL_HOOKS];
static PyObject *get_tracing_state;

PyObject *trec_set_torch(PyObject *module, PyObject *args) {
  PyObject *exchange, *class, *call, *tracing, *hooks[NUM_GLOBAL_HOOKS];
  if (!PyArg_ParseTuple(args, "OOO(O!O!O!O!)O:set_torch", &exchange, &class, &call, &PyDict_Type, &hooks[0],
                        &PyDict_Type, &hooks[1], &PyDict_Type, &hooks[2], &PyDict_Type, &hooks[3], &tracing))
    return NULL;
  if (!trec_find_exchange(exchange))
    return NULL;
  module_class = Py_NewRef(class);
  module_call = Py_NewRef(call);
  get_tracing_state = Py_NewRef(tracing);
  for (int i = 0; i < NUM_GLOBAL_HOOKS; ++i)
    global_hooks[i] = Py_NewRef(hooks[i]);
  Py_RETURN_NONE;
}

/* Whether the attribute `name` of `object` is `expected`. */
static bool is_attribute(PyObject *object, int name, PyObject *expected) {
  PyObject *value = PyObject_GetAttr(object, trec_names[name]);
  Py_XDECREF(value);
  return value && value == expected;
}

/* Whether a module has nothing of its own that its class does not know of. */
static bool is_bare(PyObject *attributes) {
  static const int hooks[] = {NAME__forward_hooks, NAME__forward_pre_hooks, NAME__backward_hooks,
                              NAME__backward_pre_hooks};
  for (size_t i = 0; i < sizeof hooks / sizeof *hooks; ++i) {
    PyObject *own = PyDict_GetItemWithError(attributes, trec_names[hooks[i]]);
    if (!own || !PyDict_Check(own) || PyDict_Size(own))
      return false;
  }
  return !PyDict_GetItemWithError(attributes, trec_names[NAME_forward]) &&
         !PyDict_GetItemWithError(attributes, trec_names[NAME__compiled_call_impl]);
}

static bool is_traced(void) {
  PyObject *state = PyObject_CallNoArgs(get_tracing_state);
  Py_XDECREF(state);
  return state != Py_None;
}

/* The module's caller, where a call of the module is one of it and nothing else. */
static PyObject *find_caller(PyObject *self, PyObject *attributes) {
  for (int i = 0; i < NUM_GLOBAL_HOOKS; ++i)
    if (PyDict_Size(global_hooks[i]))
      return NULL;
  if (!is_bare(attributes) || !is_attribute(module_class, NAME___call__, module_call) || is_traced())
    return NULL;
  PyObject *runtime = PyDict_GetItemWithError(attributes, trec_names[NAME__runtime]);
  PyObject *caller = runtime ? PyObject_GetAttr(runtime, trec_names[NAME_caller]) : NULL;
  if (caller && Py_TYPE(caller) == trec_caller_type) {
    PyObject *forward = ((struct trec_caller *)caller)->objects[OBJECT_forward_of_module];
    if (is_attribute((PyObject *)Py_TYPE(self), NAME_forward, forward))
      return caller;
  }
  Py_XDECREF(caller);
  return NULL;
}

PyObject *trec_call_module(PyObject *module, PyObject *const *args, Py_ssize_t num_args) {
  if (num_args != 2 || !PyTuple_Check(args[1]) || !module_class)
    return PyErr_Format(PyExc_TypeError, "call_module: expected a module and a tuple, after a call of set_torch");
  PyObject *attributes = PyTuple_Size(args[1]) == 1 ? PyObject_GenericGetDict(args[0], NULL) : NULL;
  PyObject *caller = attributes ? find_caller(args[0], attributes) : NULL;
  Py_XDECREF(attributes);
  if (!caller) {
    PyErr_Clear();
    Py_RETURN_NONE;
  }
  PyObject *result = trec_call((struct trec_caller *)caller, PyTuple_GetItem(args[1], 0));
  Py_DECREF(caller);
  return result;
}
