#include "plugin/paddle/python_signals.h"

#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#else
#include <pthread.h>
#endif

#include "plugin/core/interrupt.h"
#include "plugin/paddle/python_api.h"

namespace mps::paddle {
namespace {

// The interrupt on its way. Only Python's main thread, holding the GIL, touches it.
struct Pending {
  PythonObject *type = nullptr, *value = nullptr, *traceback = nullptr;  // what the handler raised
  PythonFrame* frame = nullptr;    // the frame whose call waits; it sees Paddle's exception first
  PythonObject* tracer = nullptr;  // the program's own trace function, or None
};
Pending g_pending;

// Python runs handlers on its main thread only. No other thread may even try: taking the GIL ends a daemon thread, in
// the middle of C++, once Python is shutting down.
bool on_main_thread() {
#if defined(__linux__)
  return syscall(SYS_gettid) == getpid();
#else
  return pthread_main_np() != 0;
#endif
}

void let_go(PythonObject* object) {
  if (object != nullptr) python_api()->Py_DecRef(object);
}

// sys.gettrace() and sys.settrace(tracer): what a debugger has set survives only if Python itself sets it again.
PythonObject* own_tracer() {
  PythonObject* const get = python_api()->PySys_GetObject("gettrace");
  return get == nullptr ? nullptr : python_api()->PyObject_CallFunctionObjArgs(get, nullptr);
}
void set_own_tracer(PythonObject* tracer) {
  const PythonApi& python = *python_api();
  python.PyEval_SetTrace(nullptr, nullptr);
  PythonObject* const set = python.PySys_GetObject("settrace");
  if (set == nullptr || tracer == nullptr) return;
  PythonObject* const none = python.PyObject_CallFunctionObjArgs(set, tracer, nullptr);
  if (none == nullptr) python.PyErr_Clear();
  let_go(none);
}

// The first event of the frame is the exception that its call ends with, or, should Paddle have swallowed that, the
// next line.
int raise_pending(PythonObject*, PythonFrame* frame, int, PythonObject*) {
  if (frame != g_pending.frame) return 0;
  const PythonApi& python = *python_api();
  const Pending now = g_pending;
  g_pending = {};
  set_own_tracer(now.tracer);
  let_go(now.tracer);
  python.PyErr_Restore(now.type, now.value, now.traceback);
  python.PyTraceBack_Here(frame);
  let_go(reinterpret_cast<PythonObject*>(now.frame));
  return -1;
}

// Runs the handlers of signals that have arrived. True if one raised: the exception is then on its way.
bool check_signals() {
  if (!on_main_thread()) return false;
  const PythonApi& python = *python_api();
  if (python.Py_IsInitialized() == 0) return false;
  const int gil = python.PyGILState_Ensure();
  PythonFrame* const frame = python.PyEval_GetFrame();
  bool raised = false;
  // Without a frame there would be nobody to raise it to. Signals keep.
  const bool can_raise = frame != nullptr && g_pending.frame == nullptr && python.PyErr_Occurred() == nullptr;
  if (can_raise && python.PyErr_CheckSignals() != 0) {
    Pending pending;
    python.PyErr_Fetch(&pending.type, &pending.value, &pending.traceback);
    pending.frame = frame;
    python.Py_IncRef(reinterpret_cast<PythonObject*>(frame));
    pending.tracer = own_tracer();
    if (pending.tracer == nullptr) python.PyErr_Clear();
    g_pending = pending;
    python.PyEval_SetTrace(raise_pending, nullptr);
    raised = true;
  }
  python.PyGILState_Release(gil);
  return raised;
}

}  // namespace

void watch_python_signals() {
  if (python_api() == nullptr || python_api()->Py_IsInitialized() == 0) return;
  set_interrupt_check(check_signals);
}

}  // namespace mps::paddle
