// What is counted about one device, laid out so that another process can read it: plain 64-bit numbers, in the order
// of figures.def. Memory and Cache keep their counts here, so that showing them costs nothing but the sequence number.
//
// A reader takes no lock. `sequence` is odd while the figures of memory change: read it, then the figures, then it
// again, and start over if it was odd or is another one. The figures of the cache and `launches` change one by one.
#pragma once

#include <atomic>
#include <cstdint>

namespace mps {

struct MemoryStats {
#define MPS_MEMORY_FIGURE(field, public_name) uint64_t field = 0;
#include "plugin/core/figures.def"
};

struct CacheInfo {
#define MPS_CACHE_FIGURE(name) uint64_t name = 0;
#include "plugin/core/figures.def"
};

struct Figures {
  std::atomic<uint64_t> sequence{0};
  MemoryStats memory;
  CacheInfo cache;
  std::atomic<uint64_t> launches{0};
};
static_assert(sizeof(std::atomic<uint64_t>) == sizeof(uint64_t) && std::atomic<uint64_t>::is_always_lock_free,
              "figures must be plain numbers to other processes");

}  // namespace mps
