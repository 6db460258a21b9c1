// What work is encoded into: the open command buffer of a stream, and the encoder that is open on it. One encoder at a
// time; it stays open from one piece of work to the next as long as they need the same kind.
//
// Used under the stream's encoding lock, inside of an autorelease pool.
#pragma once

#import <Metal/Metal.h>
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include <memory>
#include <vector>

#include "plugin/metal/objc.h"

namespace mps {

class Encoding {
 public:
  // Opens a command buffer on the queue.
  explicit Encoding(id<MTLCommandQueue> queue);
  ~Encoding();  // ends an open encoder: Metal insists
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;

  id<MTLDevice> device() const;

  // For work that brings its own encoders, MPS and MPSGraph; ends an open one first.
  MPSCommandBuffer* commands();
  // The open encoder of this kind, or a new one.
  id<MTLBlitCommandEncoder> blit();
  id<MTLComputeCommandEncoder> compute();

  // Releases the object once all that was encoded so far is done. Buffers that an encoder was given need no keeping.
  void keep(id object);
  void keep(std::shared_ptr<const void> object);

 private:
  void end_encoder();

  const Ref<id<MTLCommandQueue>> queue_;
  Ref<MPSCommandBuffer*> commands_;
  Ref<id<MTLBlitCommandEncoder>> blit_;
  Ref<id<MTLComputeCommandEncoder>> compute_;
  std::vector<Ref<id>> objects_;
  std::vector<std::shared_ptr<const void>> kept_;
};

}  // namespace mps
