#include "plugin/metal/os.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <time.h>

#ifdef __APPLE__
// What @available calls. Unlike NSProcessInfo it is not told an old release where the program was built with an old
// SDK.
extern "C" int32_t __isPlatformVersionAtLeast(uint32_t platform, uint32_t major, uint32_t minor, uint32_t patch);
#endif

namespace mps {

#ifdef __APPLE__

bool os_at_least(int major, int minor) {
  constexpr uint32_t kMacOS = 1;  // PLATFORM_MACOS
  return __isPlatformVersionAtLeast(kMacOS, static_cast<uint32_t>(major), static_cast<uint32_t>(minor), 0) != 0;
}

#else

// The release that the test double plays.
bool os_at_least(int major, int minor) {
  static const int level = [] {
    int played_major = 26, played_minor = 0;
    const char* const text = std::getenv("PADDLE_MPS_DOUBLE_OS");
    if (text != nullptr) std::sscanf(text, "%d.%d", &played_major, &played_minor);
    return played_major * 100 + played_minor;
  }();
  return level >= major * 100 + minor;
}

#endif

double gpu_clock() {
#ifdef __APPLE__
  constexpr clockid_t kClock = CLOCK_UPTIME_RAW;  // mach_absolute_time
#else
  constexpr clockid_t kClock = CLOCK_MONOTONIC;
#endif
  timespec now = {};
  clock_gettime(kClock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace mps
