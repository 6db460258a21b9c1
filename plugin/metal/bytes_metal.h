// Copying and filling bytes on the GPU. Blits of macOS take multiples of four bytes only (Apple's documentation of
// MTLBlitCommandEncoder), so ranges that begin or end elsewhere go through two small shaders.
#pragma once

#import <Metal/Metal.h>

#include <cstdint>
#include <mutex>

#include "plugin/metal/objc.h"

namespace mps {

class Encoding;

// One per device. Thread-safe.
class Bytes {
 public:
  explicit Bytes(id<MTLDevice> device) : device_(retain(device)) {}

  // The ranges do not overlap. Neither is of more than 0 bytes beyond its buffer.
  void copy(Encoding& encoding, id<MTLBuffer> to, size_t to_offset, id<MTLBuffer> from, size_t from_offset,
            size_t bytes);
  void fill(Encoding& encoding, id<MTLBuffer> to, size_t offset, size_t bytes, uint8_t value);

 private:
  id<MTLComputePipelineState> shader(Ref<id<MTLComputePipelineState>>* kept, const char* function);

  const Ref<id<MTLDevice>> device_;
  std::mutex mutex_;
  Ref<id<MTLComputePipelineState>> copy_, fill_;  // compiled at their first use
};

}  // namespace mps
