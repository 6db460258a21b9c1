#include "plugin/metal/buffer_metal.h"

#include <utility>

namespace mps {

MetalBuffer::MetalBuffer(Ref<id<MTLBuffer>> buffer)
    : buffer_(std::move(buffer)), contents_([buffer_.get() contents]), bytes_([buffer_.get() length]) {}

MetalBuffer::~MetalBuffer() {
  MPS_POOL;
  buffer_ = {};
}

}  // namespace mps
