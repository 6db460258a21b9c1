// The plugin's functions, and calling one that may fail.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "plugin/paddle/exports.h"

namespace mps::python {

namespace py = pybind11;

// Throws before attach() has found the plugin.
const PaddleMpsExports& exports();

// The Python exception for mps::ErrorKind, in the order of exports.h; the same that Paddle raises.
PyObject* exception_of(int32_t kind);

// Calls a function that may wait and may fail; the GIL is released meanwhile. The message is kept per thread, and this
// is still the same thread.
template <typename... Parameters, typename... Arguments>
void call(bool (*function)(Parameters...), Arguments... arguments) {
  bool succeeded;
  {
    py::gil_scoped_release release;
    succeeded = function(arguments...);
  }
  if (succeeded) return;
  PyErr_SetString(exception_of(exports().last_error_kind()), exports().last_error());
  throw py::error_already_set();
}

// What memory holds and what happened to it; see history.cc.
void define_history(py::module_& m);

}  // namespace mps::python
