#include "plugin/paddle/python_hook.h"

#include "plugin/core/env.h"
#include "plugin/core/log.h"
#include "plugin/paddle/python_api.h"

namespace mps::paddle {
namespace {

// In a namespace of its own, so that nothing is left behind in the program's `__main__`.
constexpr const char* kCode =
    "exec('''import importlib.util as u\n"
    "if u.find_spec('_paddle_mps_hook') is not None:\n"
    "    import _paddle_mps_hook as h\n"
    "    h.install()\n"
    "''', {})\n";

}  // namespace

void offer_python_module() {
  if (!env::python_hook()) return;
  const PythonApi* const python = python_api();
  if (python == nullptr || python->Py_IsInitialized() == 0) return;
  const int gil = python->PyGILState_Ensure();
  // Prints the traceback itself if the hook raises.
  if (python->PyRun_SimpleStringFlags(kCode, nullptr) != 0) {
    MPS_LOG(kWarning, "`paddle.mps` is not available; `import paddle_mps` still is.");
  }
  python->PyGILState_Release(gil);
}

}  // namespace mps::paddle
