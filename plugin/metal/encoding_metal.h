// What work is encoded into: the open command buffer of a stream, and the encoder that is open on it. One encoder at a
// time; it stays open from one piece of work to the next as long as they need the same kind.
//
// Used under the stream's encoding lock, inside of an autorelease pool.
#pragma once

#import <Metal/Metal.h>
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include <memory>
#include <vector>

#include "plugin/metal/bytes_metal.h"
#include "plugin/metal/objc.h"

namespace mps {

class Encoding {
 public:
  // Opens a command buffer on the queue. Throws kDevice if the queue gives none.
  Encoding(id<MTLCommandQueue> queue, Bytes* bytes);
  ~Encoding();  // ends an open encoder: Metal insists
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;

  id<MTLDevice> device() const { return [queue_.get() device]; }

  // For work that brings its own encoders, MPS and MPSGraph, and for events; ends an open encoder first.
  MPSCommandBuffer* commands();
  // The open encoder of this kind, or a new one.
  id<MTLBlitCommandEncoder> blit();
  id<MTLComputeCommandEncoder> compute();  // a serial one: what is dispatched later runs later

  // Any bytes, any number of them; the ranges do not overlap.
  void copy(id<MTLBuffer> to, size_t to_offset, id<MTLBuffer> from, size_t from_offset, size_t bytes) {
    bytes_->copy(*this, to, to_offset, from, from_offset, bytes);
  }
  void fill(id<MTLBuffer> to, size_t offset, size_t bytes, uint8_t value) {
    bytes_->fill(*this, to, offset, bytes, value);
  }

  // Releases the object once all that was encoded so far is done. Buffers that an encoder was given need no keeping.
  void keep(id object) { objects_.push_back(retain(object)); }
  void keep(std::shared_ptr<const void> object) { shared_.push_back(std::move(object)); }

  // -- for the stream --
  // Metal's own command buffer behind commands(). MPSGraph may commit it and go on with another one.
  id<MTLCommandBuffer> root() const { return [commands_.get() rootCommandBuffer]; }
  // Commits; nothing can be encoded any more.
  void commit();
  void release_kept();

 private:
  void end_encoder();

  const Ref<id<MTLCommandQueue>> queue_;
  Bytes* const bytes_;
  Ref<MPSCommandBuffer*> commands_;
  Ref<id<MTLBlitCommandEncoder>> blit_;
  Ref<id<MTLComputeCommandEncoder>> compute_;
  std::vector<Ref<id>> objects_;
  std::vector<std::shared_ptr<const void>> shared_;
};

}  // namespace mps
