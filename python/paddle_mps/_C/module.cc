// paddle_mps._C: plugin/paddle/exports.h as Python functions, and nothing more. Meaning, checking
// of arguments and documentation are in the package's Python modules.
//
// attach() takes the struct of functions from the plugin that Paddle has already opened; before
// that every other function raises RuntimeError. Any thread may call; the GIL is released around
// everything that may wait.
#include <dlfcn.h>
#include <pybind11/stl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "python/paddle_mps/_C/plugin.h"

namespace mps::python {
namespace {

const PaddleMpsExports* g_exports = nullptr;  // set once by attach(), under the GIL

}  // namespace

const PaddleMpsExports& exports() {
  if (g_exports == nullptr) {
    throw std::runtime_error(
        "[_C] no plugin: expected attach() to have found one, got a call before that. Use the "
        "functions of paddle_mps instead.");
  }
  return *g_exports;
}

PyObject* exception_of(int32_t kind) {
  switch (kind) {
    case 0:
      return PyExc_ValueError;
    case 1:
      return PyExc_NotImplementedError;
    case 2:
      return PyExc_MemoryError;
    case 3:
      return PyExc_OSError;
    default:  // 4, and what a newer plugin may add
      return PyExc_RuntimeError;
  }
}

namespace {

// True if the plugin at `path` is open in this process; it is never opened here.
bool attach(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return false;
  using Get = const PaddleMpsExports* (*)();
  const auto get = reinterpret_cast<Get>(dlsym(library, "paddle_mps_exports"));
  const PaddleMpsExports* found = get == nullptr ? nullptr : get();
  // A struct may grow at its end, so a longer one is fine.
  if (found == nullptr || found->version != PADDLE_MPS_EXPORTS_VERSION || found->bytes < sizeof(PaddleMpsExports)) {
    const std::string got = found == nullptr ? "none"
                                             : "version " + std::to_string(found->version) + " with " +
                                                   std::to_string(found->bytes) + " bytes";
    throw std::runtime_error(
        "[load] the plugin and its Python extension do not belong together: expected interface "
        "version " +
        std::to_string(PADDLE_MPS_EXPORTS_VERSION) + " with " + std::to_string(sizeof(PaddleMpsExports)) +
        " bytes, got " + got + ". Install paddle_mps again.");
  }
  g_exports = found;
  return true;
}

py::dict device_properties(int32_t device) {
  PaddleMpsProperties from = {};
  call(exports().device_properties, device, &from);
  py::dict to;
  to["name"] = from.name;
  to["backend"] = from.backend;
  to["architecture"] = from.architecture;
  to["total_memory"] = from.total_memory;
  to["recommended_max_memory"] = from.recommended_memory;
  to["max_buffer_length"] = from.max_buffer_bytes;
  to["unified_memory"] = from.unified_memory != 0;
  to["core_count"] = from.core_count;
  to["float16"] = from.float16 != 0;
  to["bfloat16"] = from.bfloat16 != 0;
  return to;
}

py::dict memory(int32_t device) {
  PaddleMpsMemory from = {};
  call(exports().memory, device, &from);
  py::dict to;
#define MPS_MEMORY_FIGURE(field, public_name) to[#public_name] = from.public_name;
#include "plugin/core/figures.def"
  return to;
}

std::string graph_folder(int32_t device) {
  std::string folder;
  call(
      exports().graph_folder, device,
      [](void* context, const char* text) { *static_cast<std::string*>(context) = text; }, &folder);
  return folder;
}

py::dict cache_info(int32_t device) {
  PaddleMpsCacheInfo from = {};
  call(exports().cache_info, device, &from);
  py::dict to;
#define MPS_CACHE_FIGURE(name) to[#name] = from.name;
#include "plugin/core/figures.def"
  return to;
}

double elapsed_ms(uint64_t start, uint64_t end) {
  double ms = 0;
  call(exports().elapsed_ms, start, end, &ms);
  return ms;
}

// Copies a C-contiguous buffer of any dtype.
void upload(int32_t device, uint64_t to, const py::object& from) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(from.ptr(), &buffer, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  struct Guard {
    Py_buffer* buffer;
    ~Guard() { PyBuffer_Release(buffer); }
  } guard{&buffer};
  call(exports().upload, device, to, static_cast<const void*>(buffer.buf), static_cast<uint64_t>(buffer.len));
}

bool owns(int32_t device, uint64_t address) {
  int32_t owned = 0;
  call(exports().owns, device, address, &owned);
  return owned != 0;
}

std::tuple<uint64_t, uint64_t> external_memory(int32_t device) {
  uint64_t ranges = 0, bytes = 0;
  call(exports().external_memory, device, &ranges, &bytes);
  return {ranges, bytes};
}

uint64_t release_unused(int32_t device) {
  uint64_t released = 0;
  call(exports().release_unused, device, &released);
  return released;
}

uint64_t count_calls(int32_t device, const std::string& fault) {
  uint64_t calls = 0;
  call(exports().count_calls, device, fault.c_str(), &calls);
  return calls;
}

// -- callbacks of streams: Python functions, called on a thread that Python has never seen

std::atomic<bool> g_python_ends{false};
std::mutex g_callbacks_mutex;
std::condition_variable g_callback_done;
uint64_t g_callbacks_pending = 0;

void callback_is_done() {
  std::lock_guard<std::mutex> lock(g_callbacks_mutex);
  --g_callbacks_pending;
  g_callback_done.notify_all();
}

void run_callback(void* context) {
  // A thread that asks an ending Python for the GIL never comes back; the function is lost with everything else.
  if (g_python_ends.load()) return;
  {
    py::gil_scoped_acquire gil;
    const std::unique_ptr<py::function> function(static_cast<py::function*>(context));
    try {
      (*function)();
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable(*function);  // sys.unraisablehook
    }
  }
  callback_is_done();
}

void add_callback(uint64_t stream, py::function function) {
  auto held = std::make_unique<py::function>(std::move(function));
  {
    std::lock_guard<std::mutex> lock(g_callbacks_mutex);
    ++g_callbacks_pending;
  }
  py::function* const context = held.release();  // from here on run_callback's
  try {
    call(exports().add_callback, stream, run_callback, static_cast<void*>(context));
  } catch (...) {
    delete context;
    callback_is_done();
    throw;
  }
}

// Waits until the callbacks added so far have run, at most that long; those that come later do not.
void finish_callbacks(double seconds) {
  py::gil_scoped_release release;
  std::unique_lock<std::mutex> lock(g_callbacks_mutex);
  g_callback_done.wait_for(lock, std::chrono::duration<double>(seconds), [] { return g_callbacks_pending == 0; });
  g_python_ends.store(true);
}

// -- objects that the plugin keeps, for memory of theirs that tensors lie in

std::mutex g_dropped_mutex;
std::vector<PyObject*> g_dropped;  // by threads that did not hold the GIL

// With the GIL held.
int let_dropped_go(void*) {
  std::vector<PyObject*> dropped;
  {
    std::lock_guard<std::mutex> lock(g_dropped_mutex);
    dropped.swap(g_dropped);
  }
  for (PyObject* object : dropped) Py_DECREF(object);
  return 0;
}

// The plugin calls this on whichever thread the last tensor goes. Waiting for the GIL there could be waiting for a
// thread that waits for us, so without it the object is left to Python's main thread.
void drop(void* object) {
  if (Py_IsInitialized() == 0) return;  // the process ends, and Python has taken its objects with it
  if (PyGILState_Check() != 0) {
    Py_DECREF(static_cast<PyObject*>(object));
    return;
  }
  {
    std::lock_guard<std::mutex> lock(g_dropped_mutex);
    g_dropped.push_back(static_cast<PyObject*>(object));
  }
  Py_AddPendingCall(let_dropped_go, nullptr);  // if too many calls wait, one of them or the next keep() does it
}

// Addresses for the op mps_from_memory: of the object, now kept, and of drop().
std::tuple<uint64_t, uint64_t> keep(const py::object& object) {
  let_dropped_go(nullptr);
  return {reinterpret_cast<uint64_t>(py::object(object).release().ptr()), reinterpret_cast<uint64_t>(&drop)};
}

// Undoes a keep() that led to nothing.
void unkeep(const py::object& object) { Py_DECREF(object.ptr()); }

// (op, dtype, where, calls)
using OpRow = std::tuple<std::string, std::string, int32_t, uint64_t>;

std::vector<OpRow> ops() {
  std::vector<OpRow> rows;
  exports().visit_ops(
      [](void* context, const char* op, const char* dtype, int32_t where, uint64_t calls) {
        static_cast<std::vector<OpRow>*>(context)->emplace_back(op, dtype, where, calls);
      },
      &rows);
  return rows;
}

// (variable, type, default, sentence)
using EnvRow = std::tuple<std::string, std::string, std::string, std::string>;

std::vector<EnvRow> env() {
  std::vector<EnvRow> rows;
  exports().visit_env(
      [](void* context, const char* variable, const char* type, const char* default_value, const char* sentence) {
        static_cast<std::vector<EnvRow>*>(context)->emplace_back(variable, type, default_value, sentence);
      },
      &rows);
  return rows;
}

}  // namespace
}  // namespace mps::python

PYBIND11_MODULE(_C, m) {
  using namespace mps::python;
  m.doc() = "The plugin's functions; use those of paddle_mps, which check and explain.";
  m.def("attach", attach, py::arg("path"));
  m.def("last_error", [] { return std::string(exports().last_error()); });
  m.def("plugin_version", [] { return std::string(exports().plugin_version()); });
  m.def("paddle_version", [] { return std::string(exports().paddle_version()); });
  m.def("unavailable_reason", [] { return std::string(exports().unavailable_reason()); });
  m.def("device_count", [] { return exports().device_count(); });
  m.def("device_properties", device_properties, py::arg("device"));
  m.def("synchronize", [](int32_t device) { call(exports().synchronize, device); }, py::arg("device"));
  m.def("memory", memory, py::arg("device"));
  m.def("reset_peak_memory", [](int32_t device) { call(exports().reset_peak_memory, device); }, py::arg("device"));
  m.def("release_unused", release_unused, py::arg("device"));
  m.def(
      "set_memory_limit", [](int32_t device, uint64_t bytes) { call(exports().set_memory_limit, device, bytes); },
      py::arg("device"), py::arg("bytes"));
  m.def("cache_info", cache_info, py::arg("device"));
  m.def("graph_folder", graph_folder, py::arg("device"));
  m.def("clear_graph_folder", [](int32_t device) { call(exports().clear_graph_folder, device); }, py::arg("device"));
  m.def("clear_cache", [](int32_t device) { call(exports().clear_cache, device); }, py::arg("device"));
  m.def("ops", ops);
  m.def("reset_ops", [] { exports().reset_ops(); });
  m.def("fallback_tracking_problem", [] { return std::string(exports().fallback_tracking_problem()); });
  m.def("env", env);
  m.def(
      "inject_faults",
      [](int32_t device, const std::string& faults) { call(exports().inject_faults, device, faults.c_str()); },
      py::arg("device"), py::arg("faults"));
  m.def("count_calls", count_calls, py::arg("device"), py::arg("fault"));
  m.def("monitor_page", [] { return std::string(exports().monitor_page()); });
  define_history(m);
  m.def("synchronize_stream", [](uint64_t stream) { call(exports().synchronize_stream, stream); }, py::arg("stream"));
  m.def("add_callback", add_callback, py::arg("stream"), py::arg("function"));
  m.def("finish_callbacks", finish_callbacks, py::arg("seconds"));
  m.def("synchronize_event", [](uint64_t event) { call(exports().synchronize_event, event); }, py::arg("event"));
  m.def("enable_timing", [](uint64_t event) { call(exports().enable_timing, event); }, py::arg("event"));
  m.def("elapsed_ms", elapsed_ms, py::arg("start"), py::arg("end"));
  m.def(
      "enter_thread_context", [](int32_t device) { call(exports().enter_thread_context, device); }, py::arg("device"));
  m.def(
      "leave_thread_context", [](int32_t device) { call(exports().leave_thread_context, device); }, py::arg("device"));
  m.def("keep", keep, py::arg("object"));
  m.def("unkeep", unkeep, py::arg("object"));
  m.def("owns", owns, py::arg("device"), py::arg("address"));
  m.def("upload", upload, py::arg("device"), py::arg("to"), py::arg("source"));
  m.def("external_memory", external_memory, py::arg("device"));
}
