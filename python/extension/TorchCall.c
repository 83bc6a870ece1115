/* The extension module that trec/torch/extension.py loads. It keeps to the stable part of Python's C interface, so that
 * one file serves all versions of Python from 3.10 on, and needs nothing of torch to be built. */
#include "TorchCall.h"

PyObject *trec_names[NUM_NAMES];

static const char *const names[] = {
#define TREC_NAME(name) #name,
#include "Names.def"
};

static PyMethodDef functions[] = {
    {"set_torch", trec_set_torch, METH_VARARGS,
     "Takes torch.Tensor's exchange functions, torch.nn.Module, its __call__, the dicts of its global hooks, and what "
     "says whether torch.jit traces."},
    {"call_module", (PyCFunction)(void (*)(void))trec_call_module, METH_FASTCALL,
     "Calls a module with a tuple of arguments by its caller; None where torch would do more, or the batch is not "
     "plain."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                        "TorchCall",
                                        "Plain calls of compiled models on torch's tensors.",
                                        -1,
                                        functions,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

PyMODINIT_FUNC PyInit_TorchCall(void) {
  for (int i = 0; i < NUM_NAMES; ++i)
    if (!(trec_names[i] = PyUnicode_InternFromString(names[i])))
      return NULL;
  PyObject *module = PyModule_Create(&definition);
  if (module && trec_add_caller(module))
    Py_CLEAR(module);
  return module;
}
