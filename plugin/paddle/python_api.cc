#include "plugin/paddle/python_api.h"

#include <dlfcn.h>

namespace mps::paddle {
namespace {

PythonApi* load() {
  static PythonApi api;
  bool complete = true;
#define MPS_PYTHON(result, name, parameters)                                     \
  api.name = reinterpret_cast<result(*) parameters>(dlsym(RTLD_DEFAULT, #name)); \
  complete = complete && api.name != nullptr;
  MPS_PYTHON_FUNCTIONS
#undef MPS_PYTHON
  return complete ? &api : nullptr;
}

}  // namespace

const PythonApi* python_api() {
  static const PythonApi* const api = load();
  return api;
}

}  // namespace mps::paddle
