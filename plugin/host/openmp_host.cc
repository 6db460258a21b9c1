#include "plugin/host/openmp_host.h"

#include <dlfcn.h>

namespace mps {
namespace {

// GNU's, Intel's and LLVM's, by the names under which they are loaded.
constexpr const char* kLibraries[SingleOpenMpThread::kMaxRuntimes] = {"libgomp.so.1", "libiomp5.so", "libomp.so"};

struct Runtime {
  int (*get)();
  void (*set)(int);
};

struct Runtimes {
  Runtime all[SingleOpenMpThread::kMaxRuntimes];
  int count = 0;
};

Runtimes find_runtimes() {
  Runtimes found;
  for (const char* library : kLibraries) {
    void* const handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);  // only if it is there already
    if (handle == nullptr) continue;
    Runtime runtime;
    runtime.get = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_max_threads"));
    runtime.set = reinterpret_cast<void (*)(int)>(dlsym(handle, "omp_set_num_threads"));
    if (runtime.get != nullptr && runtime.set != nullptr) found.all[found.count++] = runtime;
  }
  return found;
}

const Runtimes& runtimes() {
  static const Runtimes found = find_runtimes();
  return found;
}

}  // namespace

SingleOpenMpThread::SingleOpenMpThread() {
  const Runtimes& found = runtimes();
  for (int i = 0; i < found.count; ++i) {
    before_[i] = found.all[i].get();
    if (before_[i] != 1) found.all[i].set(1);
  }
}

SingleOpenMpThread::~SingleOpenMpThread() {
  const Runtimes& found = runtimes();
  for (int i = 0; i < found.count; ++i) {
    if (before_[i] != 1) found.all[i].set(before_[i]);
  }
}

}  // namespace mps
