// The library that Paddle opens: it decides whether the plugin can be used here, and only then
// opens it.
//
// Paddle opens every library in its plugin folder during `import paddle`, and a library that cannot
// be opened, or that was built for another Paddle, takes the import down with it. So this one uses
// Paddle's C header and nothing else: it loads into any Paddle. Whatever is wrong, Paddle gets a
// device type with no devices, the program runs on the CPU, and the reason is one line on stderr
// and the answer of paddle_mps_unavailable_reason().
//
// Everything here runs once, on the thread that imports Paddle.
#include <dlfcn.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <link.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <string>

#include "paddle/phi/backends/device_ext.h"

#define MPS_EXPORT extern "C" __attribute__((visibility("default")))

// Where the plugin is when the package is used from its source tree; nothing follows the colon in a
// wheel. Exported and not constant, so that the compiler must read it: the tests blank it in a copy
// of this library.
MPS_EXPORT char paddle_mps_editable_folder[];
char paddle_mps_editable_folder[] = "editable-folder:" MPS_EDITABLE_DIR;

namespace {

char kDeviceType[] = "mps";
// Path of the first copy of this library that Paddle ran in this process.
constexpr const char* kMarker = "PADDLE_MPS_LOADER";

// Never destroyed: Paddle calls into its plugins after static destructors have run.
std::string& reason() {
  static auto* text = new std::string;
  return *text;
}

std::string in_quotes(const std::string& text) { return "'" + text + "'"; }

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// A runtime with no devices. Paddle refuses (loudly) a table without these entries. Of those that
// need a device none is called when there is none; if one is after all, it fails rather than
// pretends.
C_Status device_count(size_t* count) {
  *count = 0;
  return C_SUCCESS;
}
C_Status device_list(size_t*) { return C_SUCCESS; }
C_Status succeed() { return C_SUCCESS; }
template <typename... Args>
C_Status fail(Args...) {
  return C_ERROR;
}

void fill_empty_runtime(CustomRuntimeParams* params) {
  C_DeviceInterface* table = params->interface;
  *table = C_DeviceInterface{};  // the plugin may have filled a part before it failed
  table->size = sizeof(C_DeviceInterface);
  // `initialize` must succeed: Paddle ends the process otherwise.
  table->initialize = succeed;
  table->finalize = succeed;
  table->get_device_count = device_count;
  table->get_device_list = device_list;
  table->set_device = fail;
  table->get_device = fail;
  table->synchronize_device = fail;
  table->create_event = fail;
  table->record_event = fail;
  table->destroy_event = fail;
  table->synchronize_event = fail;
  table->device_memory_allocate = fail;
  table->device_memory_deallocate = fail;
  table->memory_copy_h2d = fail;
  table->memory_copy_d2h = fail;
  params->device_type = kDeviceType;
  params->version = {PADDLE_CUSTOM_RUNTIME_MAJOR_VERSION, PADDLE_CUSTOM_RUNTIME_MINOR_VERSION,
                     PADDLE_CUSTOM_RUNTIME_PATCH_VERSION};
}

std::string own_path() {
  Dl_info info{};
  return dladdr(&kDeviceType, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

// Calls visit(path) for every library of this process, until it returns true.
template <typename Visit>
void for_each_library(Visit visit) {
#ifdef __APPLE__
  for (uint32_t i = 0; i < _dyld_image_count(); ++i) {
    const char* name = _dyld_get_image_name(i);
    if (name != nullptr && visit(name)) return;
  }
#else
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) { return (*static_cast<Visit*>(data))(info->dlpi_name) ? 1 : 0; },
      &visit);
#endif
}

// The full_version of the Paddle in this process, from the package that its libraries lie in; "" if
// it cannot be told. Any of the three libraries will do: which of them exist depends on Paddle's
// version.
std::string paddle_version() {
  std::string version;
  for_each_library([&version](const std::string& path) {
    const std::string file = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
    const std::string stem = file.substr(0, file.find('.'));
    if (stem != "libphi_core" && stem != "libphi" && stem != "libpaddle") return false;
    std::ifstream lines(folder_of(path) + "/../version/__init__.py");
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("full_version", 0) != 0) continue;
      const size_t begin = line.find_first_of("'\"");
      const size_t end = line.find_last_of("'\"");
      if (begin < end) version = line.substr(begin + 1, end - begin - 1);
    }
    return !version.empty();
  });
  return version;
}

// The checks answer "" or `[load] what is wrong: expected E, got G. What to do.`
std::string check_paddle() {
  const std::string version = paddle_version();
  if (version == MPS_PADDLE_VERSION) return "";
  const std::string got = version.empty() ? "one that does not tell its version" : version;
  return "[load] wrong Paddle version: expected " MPS_PADDLE_VERSION ", got " + got +
         ". Install paddlepaddle==" MPS_PADDLE_VERSION ", or a paddle_mps that was built for your Paddle.";
}

std::string check_first_copy(const std::string& self) {
  const char* first = std::getenv(kMarker);
  // The marker is inherited by child processes, so it counts only if that library is here too.
  if (first != nullptr && *first != '\0' && self != first && dlopen(first, RTLD_NOW | RTLD_NOLOAD) != nullptr) {
    return "[load] paddle_mps is installed twice: expected one library in " + in_quotes(folder_of(self)) + ", got " +
           in_quotes(first) + " (in use) and " + in_quotes(self) + " (ignored). Delete one of them.";
  }
  setenv(kMarker, self.c_str(), 1);
  return "";
}

using InitFunction = void (*)(CustomRuntimeParams*);

// Opens the plugin; on failure returns null and says why.
InitFunction open_plugin(const std::string& self, std::string* why) {
  const std::string beside = folder_of(self) + "/../paddle_mps/lib/" MPS_PLUGIN_NAME;
  const std::string editable = std::strchr(paddle_mps_editable_folder, ':') + 1;
  std::string path = beside;
  if (access(path.c_str(), F_OK) != 0 && !editable.empty()) path = editable + "/" MPS_PLUGIN_NAME;
  if (access(path.c_str(), F_OK) != 0) {
    *why = "[load] the plugin is missing: expected " + in_quotes(beside) +
           (editable.empty() ? "" : " or " + in_quotes(path)) +
           ", got no such file. Install paddle_mps again: pip install --force-reinstall --no-deps "
           "paddle_mps.";
    return nullptr;
  }
  // NODELETE: see pin(). LOCAL: its symbols are nobody else's business.
  void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  const char* error = plugin == nullptr ? dlerror() : nullptr;
  void* init = plugin == nullptr ? nullptr : dlsym(plugin, "paddle_mps_init_plugin");
  if (init == nullptr) {
    *why = "[load] the plugin cannot be opened: expected a library for this Paddle and machine in " + in_quotes(path) +
           ", got: " + (error != nullptr ? error : "no function paddle_mps_init_plugin in it") +
           ". Install paddle_mps again: pip install --force-reinstall --no-deps paddle_mps.";
  }
  return reinterpret_cast<InitFunction>(init);
}

// Paddle closes its plugins at exit and jumps into them afterwards; a second reference keeps us
// mapped. (-z nodelete does the same on Linux. macOS has no such flag.)
void pin(const std::string& self) { dlopen(self.c_str(), RTLD_NOW | RTLD_NODELETE); }

void say(const std::string& text) {
  const char* level = std::getenv("PADDLE_MPS_LOG");
  if (level == nullptr || (std::strcmp(level, "off") != 0 && std::strcmp(level, "error") != 0)) {
    std::fprintf(stderr, "paddle_mps warning: %s\n", text.c_str());
  }
}

}  // namespace

// Why the plugin was not loaded; "" if it was (then the plugin itself knows whether it found a
// device).
MPS_EXPORT const char* paddle_mps_unavailable_reason() { return reason().c_str(); }

MPS_EXPORT void InitPlugin(CustomRuntimeParams* params) {
  const std::string self = own_path();
  pin(self);

  // Untouched, the parameters say version 0.0.0 and Paddle skips us: the way out when we may not
  // write.
  if (params->size != sizeof(CustomRuntimeParams) || params->interface == nullptr ||
      params->interface->size != sizeof(C_DeviceInterface)) {
    reason() = check_paddle();
    if (reason().empty()) {
      reason() = "[load] unknown plugin interface: expected the one of Paddle " MPS_PADDLE_VERSION
                 ", got tables of another size. Build paddle_mps against this Paddle.";
    }
    return say(reason() + " Programs run on the CPU.");
  }
  // The first copy has registered the device type; to do so again is an error.
  reason() = check_first_copy(self);
  if (!reason().empty()) return say(reason());

  const char* disable = std::getenv("PADDLE_MPS_DISABLE");
  if (disable != nullptr && std::strcmp(disable, "") != 0 && std::strcmp(disable, "0") != 0) {
    reason() = std::string("[load] paddle_mps is switched off: expected PADDLE_MPS_DISABLE unset or 0, got ") +
               disable + ". Unset it to use the device.";
    return fill_empty_runtime(params);  // on purpose, hence without a line
  }

  reason() = check_paddle();
  InitFunction init = reason().empty() ? open_plugin(self, &reason()) : nullptr;
  if (init != nullptr) {
    try {
      init(params);
      return;
    } catch (const std::exception& error) {
      reason() = std::string("[load] the plugin cannot start: expected it to set itself up, got: ") + error.what() +
                 " Correct that, or set PADDLE_MPS_DISABLE=1 to do without.";
    } catch (...) {  // it would come out of `import paddle`
      reason() =
          "[load] the plugin cannot start: expected it to set itself up, got an unknown exception. "
          "Please report this.";
    }
  }
  fill_empty_runtime(params);
  say(reason() + " Programs run on the CPU.");
}
