// The device, of which there is one, and what its heaps and buffers are in memory.
#pragma once

#include <Metal/Metal.h>

#include <atomic>
#include <memory>

#include "tests/apple_double/base/object.h"

@interface DoubleDevice : NSObject <MTLDevice>
@end

namespace apple_double {

// The device of the pretended machine; nil if that has none.
DoubleDevice* the_device();

// Of heaps: what MTLHeap.size is a multiple of.
constexpr size_t kHeapGranule = 16384;
// The smallest piece of a heap.
constexpr size_t kSmallAlign = 256;
// What heapBufferSizeAndAlign says. Large buffers want whole pages: programs must ask, not know.
inline size_t heap_align(size_t length) { return length >= kHeapGranule ? kHeapGranule : kSmallAlign; }
inline size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

// Bytes that are taken from the system; counted, limited, filled with garbage.
class Pages {
 public:
  static std::shared_ptr<Pages> take(size_t bytes);  // null: more than there is
  ~Pages();
  char* base() const { return base_; }
  static uint64_t taken();

 private:
  Pages(char* base, size_t bytes) : base_(base), bytes_(bytes) {}
  char* const base_;
  const size_t bytes_;
};

uint64_t recommended_bytes();
uint64_t max_buffer_bytes();

// Throws out options that no Metal device takes.
void check_options(MTLResourceOptions options);
inline MTLStorageMode storage_of(MTLResourceOptions options) {
  return static_cast<MTLStorageMode>((options >> 4) & 0xF);
}
inline MTLCPUCacheMode cache_of(MTLResourceOptions options) { return static_cast<MTLCPUCacheMode>(options & 0xF); }
inline MTLHazardTrackingMode tracking_of(MTLResourceOptions options) {
  return static_cast<MTLHazardTrackingMode>((options >> 8) & 0x3);
}

// The generation in "applegpu_g14s".
int gpu_generation();

}  // namespace apple_double
