#include "plugin/host/cache_size_host.h"

#include <algorithm>
#include <fstream>

#include "plugin/host/threads.h"

namespace mps {
namespace {

// Processors of servers, and the virtual machines on them, tell of caches that many others use: a thread's share is no
// more than this.
constexpr size_t kMostPerThread = size_t{8} << 20;

}  // namespace

size_t cache_bytes() {
  static const size_t bytes = [] {
    size_t kilobytes = 0;
    std::ifstream("/sys/devices/system/cpu/cpu0/cache/index3/size") >> kilobytes;  // "32768K"
    const size_t all = kilobytes == 0 ? size_t{32} << 20 : kilobytes << 10;
    return std::min(all, kMostPerThread * static_cast<size_t>(thread_count()));
  }();
  return bytes;
}

}  // namespace mps
