#include "plugin/metal/encoding_metal.h"

#include "plugin/core/check.h"

namespace mps {

Encoding::Encoding(id<MTLCommandQueue> queue, Bytes* bytes)
    : queue_(retain(queue)), bytes_(bytes), commands_(retain([MPSCommandBuffer commandBufferFromCommandQueue:queue])) {
  MPS_CHECK(commands_ && root() != nil, kDevice,
            "the device takes no work: expected a command buffer, got none. Start the process again.");
}

Encoding::~Encoding() { end_encoder(); }

MPSCommandBuffer* Encoding::commands() {
  end_encoder();
  return commands_.get();
}

id<MTLBlitCommandEncoder> Encoding::blit() {
  if (!blit_) {
    end_encoder();
    blit_ = retain([commands_.get() blitCommandEncoder]);
  }
  return blit_.get();
}

id<MTLComputeCommandEncoder> Encoding::compute() {
  if (!compute_) {
    end_encoder();
    compute_ = retain([commands_.get() computeCommandEncoder]);
  }
  return compute_.get();
}

void Encoding::end_encoder() {
  if (blit_) [blit_.get() endEncoding];
  if (compute_) [compute_.get() endEncoding];
  blit_ = {};
  compute_ = {};
}

void Encoding::commit() {
  end_encoder();
  [commands_.get() commit];
  commands_ = {};
}

void Encoding::release_kept() {
  objects_.clear();
  shared_.clear();
}

}  // namespace mps
