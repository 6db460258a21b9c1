// Python's functions are looked up at run time, so that the plugin needs no Python and serves every
// CPython version.
#include "plugin/paddle/python_hook.h"

#include <dlfcn.h>

#include "plugin/core/env.h"
#include "plugin/core/log.h"

namespace mps::paddle {
namespace {

template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

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
  auto* is_initialized = find<int()>("Py_IsInitialized");
  if (is_initialized == nullptr || is_initialized() == 0) return;
  auto* ensure = find<int()>("PyGILState_Ensure");
  auto* release = find<void(int)>("PyGILState_Release");
  auto* run = find<int(const char*, void*)>("PyRun_SimpleStringFlags");
  if (ensure == nullptr || release == nullptr || run == nullptr) return;
  const int gil = ensure();
  // Prints the traceback itself if the hook raises.
  if (run(kCode, nullptr) != 0) MPS_LOG(kWarning, "`paddle.mps` is not available; `import paddle_mps` still is.");
  release(gil);
}

}  // namespace mps::paddle
