#include "plugin/host/cache_size_host.h"

#include <fstream>

namespace mps {

size_t cache_bytes() {
  static const size_t bytes = [] {
    size_t kilobytes = 0;
    std::ifstream("/sys/devices/system/cpu/cpu0/cache/index3/size") >> kilobytes;  // "32768K"
    return kilobytes == 0 ? size_t{32} << 20 : kilobytes << 10;
  }();
  return bytes;
}

}  // namespace mps
