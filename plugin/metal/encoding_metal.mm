#include "plugin/metal/encoding_metal.h"

#include <utility>

namespace mps {

Encoding::Encoding(id<MTLCommandQueue> queue)
    : queue_(retain(queue)), commands_(retain([MPSCommandBuffer commandBufferFromCommandQueue:queue])) {}

Encoding::~Encoding() { end_encoder(); }

id<MTLDevice> Encoding::device() const { return [queue_.get() device]; }

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

void Encoding::keep(id object) { objects_.push_back(retain(object)); }

void Encoding::keep(std::shared_ptr<const void> object) { kept_.push_back(std::move(object)); }

void Encoding::end_encoder() {
  if (blit_) [blit_.get() endEncoding];
  if (compute_) [compute_.get() endEncoding];
  blit_ = {};
  compute_ = {};
}

}  // namespace mps
