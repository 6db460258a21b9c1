// macOS: ops that Paddle runs on the CPU cannot be counted, and the report says so.
//
// fallback_linux.cc redirects the calls to KernelFactory::SelectKernelOrThrowError in a table that the dynamic linker
// fills. In Paddle's macOS libraries there is no such table between the callers and the function: both are in
// libphi_core.dylib, which is linked with two-level names, so its 1417 calls (of 3.3.1's wheel for arm64) are direct
// branches. Only libpaddle.so has an entry, which 4 calls of static programs use. Counting those alone would report "no
// fallbacks" for programs full of them.
#include "plugin/core/env.h"
#include "plugin/paddle/fallback.h"

namespace mps::paddle {

void install_fallback_tracking() {}

const char* fallback_tracking_problem() {
  if (!env::track_fallback()) return "switched off by PADDLE_MPS_TRACK_FALLBACK=0.";
  return "on macOS Paddle's libraries choose kernels by direct calls, which nothing can observe. "
         "Set FLAGS_enable_api_kernel_fallback=0 to have an op without an mps kernel raise an error instead.";
}

}  // namespace mps::paddle
