// Buffers and heaps of Metal. Memory is Shared: contents() is where the GPU's bytes are.
#pragma once

#import <Metal/Metal.h>

#include <memory>

#include "plugin/core/device.h"
#include "plugin/metal/context_metal.h"
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

// A placement heap: buffers go where the portable allocator wants them.
//
// It is hazard-tracked, as a whole: whatever reads or writes it runs after what has written it. That is what orders the
// encoders of a stream among each other, those of MPSGraph too, in which we cannot put fences; and it is what makes it
// safe to hand freed memory to later work, since the new buffer is another object over the same bytes. It serialises
// work of one heap only, and a heap belongs to one stream, which is in order anyway.
class MetalHeap final : public Heap {
 public:
  // Null if the system has no such memory.
  static std::unique_ptr<Heap> make(std::shared_ptr<MetalContext> context, size_t bytes);
  ~MetalHeap() override;
  size_t bytes() const override { return bytes_; }
  std::unique_ptr<Buffer> new_buffer(size_t offset, size_t bytes) override;

 private:
  MetalHeap(std::shared_ptr<MetalContext> context, Ref<id<MTLHeap>> heap);

  std::shared_ptr<MetalContext> context_;
  Ref<id<MTLHeap>> heap_;
  const size_t bytes_;
};

// DeviceProperties' alignment and small_bytes, as the device has them.
struct HeapAlignment {
  size_t alignment, small_bytes;
};
HeapAlignment heap_alignment(id<MTLDevice> device);

// A buffer over whole pages of the program. Null if the system refuses.
std::unique_ptr<Buffer> wrap_pages(id<MTLDevice> device, void* address, size_t bytes);

}  // namespace mps
