// The few functions of Python's C API that the plugin calls. They are looked up at run time, so that the plugin needs
// no Python, serves every CPython version, and works in programs without Python.
#pragma once

namespace mps::paddle {

struct PythonObject;                                                                                    // PyObject
struct PythonFrame;                                                                                     // PyFrameObject
using PythonTracer = int(PythonObject* object, PythonFrame* frame, int event, PythonObject* argument);  // Py_tracefunc

// THE list: MPS_PYTHON(result, name, parameters).
#define MPS_PYTHON_FUNCTIONS                                                      \
  MPS_PYTHON(int, Py_IsInitialized, ())                                           \
  MPS_PYTHON(void, Py_IncRef, (PythonObject*))                                    \
  MPS_PYTHON(void, Py_DecRef, (PythonObject*))                                    \
  MPS_PYTHON(int, PyGILState_Ensure, ())                                          \
  MPS_PYTHON(void, PyGILState_Release, (int))                                     \
  MPS_PYTHON(int, PyRun_SimpleStringFlags, (const char*, void*))                  \
  MPS_PYTHON(int, PyErr_CheckSignals, ())                                         \
  MPS_PYTHON(PythonObject*, PyErr_Occurred, ())                                   \
  MPS_PYTHON(void, PyErr_Fetch, (PythonObject**, PythonObject**, PythonObject**)) \
  MPS_PYTHON(void, PyErr_Restore, (PythonObject*, PythonObject*, PythonObject*))  \
  MPS_PYTHON(void, PyErr_Clear, ())                                               \
  MPS_PYTHON(PythonFrame*, PyEval_GetFrame, ())                                   \
  MPS_PYTHON(void, PyEval_SetTrace, (PythonTracer*, PythonObject*))               \
  MPS_PYTHON(int, PyTraceBack_Here, (PythonFrame*))                               \
  MPS_PYTHON(PythonObject*, PySys_GetObject, (const char*))                       \
  MPS_PYTHON(PythonObject*, PyObject_CallFunctionObjArgs, (PythonObject*, ...))

struct PythonApi {
#define MPS_PYTHON(result, name, parameters) result(*name) parameters = nullptr;
  MPS_PYTHON_FUNCTIONS
#undef MPS_PYTHON
};

// Null if this process has no Python, or one that lacks a function.
const PythonApi* python_api();

}  // namespace mps::paddle
