// The blit encoder, and fences.
#include "tests/apple_double/metal/encoder_call.h"

#include <cstring>

#include "tests/apple_double/metal/device.h"

namespace apple_double {

EncoderState::~EncoderState() {
  require(!open, "an encoder was released without endEncoding: Metal's assertion fails.");
}

void end_encoder(id encoder) {
  EncoderCall call(encoder, "endEncoding");
  require(call->groups.empty(), "endEncoding: pushDebugGroup: '", call->groups.empty() ? "" : call->groups.back(),
          "' was not popped.");
  call->open = false;
  call.encoding()->encoder = nil;
}

void push_group(id encoder, NSString* name) { EncoderCall(encoder, "pushDebugGroup:")->groups.push_back(text(name)); }

void pop_group(id encoder) {
  EncoderCall call(encoder, "popDebugGroup");
  require(!call->groups.empty(), "popDebugGroup: none was pushed.");
  call->groups.pop_back();
}

DoubleBlitCommandEncoder* new_blit_encoder(DoubleCommandBuffer* buffer) {
  DoubleBlitCommandEncoder* const encoder = [[DoubleBlitCommandEncoder alloc] init];
  state<EncoderState>(encoder).buffer = buffer;
  return encoder;
}

struct FenceState {
  Kept<NSString*> label;
};

}  // namespace apple_double

using namespace apple_double;

@implementation DoubleFence
APPLE_DOUBLE_STATE(FenceState)
APPLE_DOUBLE_PROPERTY(FenceState, NSString*, label, setLabel)
- (id<MTLDevice>)device {
  return given(the_device());
}
@end

@implementation DoubleBlitCommandEncoder
APPLE_DOUBLE_STATE(EncoderState)
APPLE_DOUBLE_ENCODER

- (void)copyFromBuffer:(id<MTLBuffer>)from
          sourceOffset:(NSUInteger)from_offset
              toBuffer:(id<MTLBuffer>)to
     destinationOffset:(NSUInteger)to_offset
                  size:(NSUInteger)size {
  EncoderCall call(self, "copyFromBuffer:");
  BufferState& source = call.encoding().use(from, "copyFromBuffer: the source");
  BufferState& target = call.encoding().use(to, "copyFromBuffer: the destination");
  require(size > 0, "copyFromBuffer: of 0 bytes: Metal's assertion fails.");
  require(from_offset <= source.length && size <= source.length - from_offset, "copyFromBuffer: ", size,
          " bytes from offset ", from_offset, " reach beyond the source's ", source.length, " bytes.");
  require(to_offset <= target.length && size <= target.length - to_offset, "copyFromBuffer: ", size,
          " bytes at offset ", to_offset, " reach beyond the destination's ", target.length, " bytes.");
  require(size <= kMostBlitBytes, "copyFromBuffer: of ", size,
          " bytes: from 4 GB on Metal copies nothing and says "
          "nothing; copy pieces of at most ",
          kMostBlitBytes, " bytes.");
  require((from_offset | to_offset | size) % 4 == 0, "copyFromBuffer: ", size, " bytes from offset ", from_offset,
          " to ", to_offset, ": on macOS all three must be multiples of 4 (Apple's documentation).");
  call.encoding().touch(source, from_offset, size, false, "copyFromBuffer: the source");
  call.encoding().touch(target, to_offset, size, true, "copyFromBuffer: the destination");
  char* const begin = target.address + to_offset;
  const char* const first = source.address + from_offset;
  require(begin + size <= first || first + size <= begin,
          "copyFromBuffer: source and destination overlap: the result is "
          "undefined.");
  call.encoding()->steps.push_back([=] { std::memcpy(begin, first, size); });
}

- (void)fillBuffer:(id<MTLBuffer>)buffer range:(NSRange)range value:(uint8_t)value {
  EncoderCall call(self, "fillBuffer:");
  BufferState& target = call.encoding().use(buffer, "fillBuffer: the buffer");
  require(range.length > 0, "fillBuffer: of 0 bytes: Metal's assertion fails.");
  require(range.location <= target.length && range.length <= target.length - range.location,
          "fillBuffer: ", range.length, " bytes at offset ", range.location, " reach beyond the buffer's ",
          target.length, " bytes.");
  require(range.length <= kMostBlitBytes, "fillBuffer: of ", range.length, " bytes: more than ", kMostBlitBytes,
          " at once are not safe.");
  require((range.location | range.length) % 4 == 0, "fillBuffer: ", range.length, " bytes at offset ", range.location,
          ": on macOS both must be multiples of 4 (Apple's documentation).");
  call.encoding().touch(target, range.location, range.length, true, "fillBuffer: the buffer");
  char* const begin = target.address + range.location;
  const size_t size = range.length;
  call.encoding()->steps.push_back([=] { std::memset(begin, value, size); });
}

- (void)synchronizeResource:(id<MTLResource>)resource {
  (void)resource;
  violation("synchronizeResource: is for Managed resources, of which Apple GPUs have none.");
}
- (void)sampleCountersInBuffer:(id<MTLCounterSampleBuffer>)samples
                 atSampleIndex:(NSUInteger)index
                   withBarrier:(BOOL)barrier {
  (void)samples, (void)index, (void)barrier;
  violation("sampleCountersInBuffer: Apple GPUs sample at stage boundaries only.");
}
@end
