// Buffers and heaps of Metal. Memory is Shared: contents() is where the GPU's bytes are.
#pragma once

#import <Metal/Metal.h>

#include <memory>

#include "plugin/core/device.h"
#include "plugin/metal/objc.h"

namespace mps {

class MetalBuffer final : public Buffer {
 public:
  explicit MetalBuffer(Ref<id<MTLBuffer>> buffer);
  ~MetalBuffer() override;
  void* contents() const override { return contents_; }
  size_t bytes() const override { return bytes_; }
  id<MTLBuffer> buffer() const { return buffer_.get(); }

 private:
  Ref<id<MTLBuffer>> buffer_;
  void* const contents_;
  const size_t bytes_;
};

// What is behind a Buffer of this backend. Its bytes begin at offset 0 of it.
inline id<MTLBuffer> mtl_buffer(const Buffer& buffer) { return static_cast<const MetalBuffer&>(buffer).buffer(); }

}  // namespace mps
