#include "plugin/paddle/host_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace mps::paddle {
namespace {

#if defined(MADV_HUGEPAGE)
constexpr size_t kLarge = size_t{4} << 20;  // below, there may be no large page in it

void ask_for_large_pages(void* address, size_t bytes) {
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(address) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(address) + bytes) / page * page;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);  // advice: if it is refused, all is well
}
#endif

}  // namespace

void copy_to_host(void* to, const void* from, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes >= kLarge) ask_for_large_pages(to, bytes);
#endif
  std::memcpy(to, from, bytes);
}

}  // namespace mps::paddle
