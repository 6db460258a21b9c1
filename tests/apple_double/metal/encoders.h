// Encoders: blit and compute. An encoder is open until endEncoding, and its command buffer has one open at a time.
#pragma once

#include <Metal/Metal.h>

#include <string>
#include <vector>

#include "tests/apple_double/metal/command_buffer.h"

@interface DoubleBlitCommandEncoder : NSObject <MTLBlitCommandEncoder>
@end
@interface DoubleComputeCommandEncoder : NSObject <MTLComputeCommandEncoder>
@end
@interface DoubleFence : NSObject <MTLFence>
@end

namespace apple_double {

struct EncoderState {
  Kept<NSString*> label;
  Kept<DoubleCommandBuffer*> buffer;
  std::vector<std::string> groups;
  bool open = true;
  ~EncoderState();
};

DoubleBlitCommandEncoder* new_blit_encoder(DoubleCommandBuffer* buffer);
DoubleComputeCommandEncoder* new_compute_encoder(DoubleCommandBuffer* buffer, MTLDispatchType type);

// Copies of more than this are cut short on a Mac, without a word.
constexpr size_t kMostBlitBytes = size_t{2} << 30;

}  // namespace apple_double
