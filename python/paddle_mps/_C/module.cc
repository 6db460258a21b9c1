// paddle_mps._C: plugin/paddle/exports.h as Python functions, and nothing more. Meaning, checking
// of arguments and documentation are in the package's Python modules.
//
// attach() takes the struct of functions from the plugin that Paddle has already opened; before
// that every other function raises RuntimeError. Any thread may call; the GIL is released around
// everything that may wait.
#include <dlfcn.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <tuple>
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

py::dict cache_info(int32_t device) {
  PaddleMpsCacheInfo from = {};
  call(exports().cache_info, device, &from);
  py::dict to;
#define MPS_CACHE_FIGURE(name) to[#name] = from.name;
#include "plugin/core/figures.def"
  return to;
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
}
