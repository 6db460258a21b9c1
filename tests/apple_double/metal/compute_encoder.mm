// The compute encoder. Dispatches of one encoder run in the order of their encoding.
#include <cstring>

#include "tests/apple_double/metal/encoder_call.h"
#include "tests/apple_double/metal/shader.h"

namespace apple_double {
namespace {

struct Argument {
  Kept<id<MTLBuffer>> buffer;
  size_t offset = 0;
  std::shared_ptr<std::vector<char>> bytes;  // of setBytes
};

struct ComputeEncoderState : EncoderState {
  MTLDispatchType dispatch_type = MTLDispatchTypeSerial;
  Kept<DoubleComputePipelineState*> pipeline;
  Argument arguments[kMostBuffers];
};

Argument& argument(id encoder, NSUInteger index, const char* what) {
  require(index < kMostBuffers, what, ": index ", index, ": an encoder has ", kMostBuffers, " buffers.");
  return state<ComputeEncoderState>(encoder).arguments[index];
}

void dispatch(id encoder, MTLSize grid, MTLSize group, const char* what) {
  EncoderCall call(encoder, what);
  ComputeEncoderState& here = state<ComputeEncoderState>(encoder);
  require(here.pipeline.get() != nil, what, ": no pipeline was set.");
  const NSUInteger threads = group.width * group.height * group.depth;
  require(threads > 0 && threads <= kThreadsPerThreadgroup, what, ": ", threads,
          " threads per threadgroup: expected 1 to ", kThreadsPerThreadgroup, " (maxTotalThreadsPerThreadgroup).");
  require(grid.width > 0 && grid.height > 0 && grid.depth > 0, what, ": an empty grid: Metal's assertion fails.");
  require(grid.width <= UINT32_MAX && grid.height <= UINT32_MAX && grid.depth <= UINT32_MAX, what,
          ": positions in the grid do not fit 32 bits.");
  const Kernel& kernel = state<PipelineState>(here.pipeline.get()).kernel;
  void* addresses[kMostBuffers] = {};
  std::vector<std::shared_ptr<std::vector<char>>> bytes;
  for (unsigned index : kernel.buffers) {
    const Argument& bound = argument(encoder, index, what);
    require(bound.buffer.get() != nil || bound.bytes != nullptr, what, ": kernel ", kernel.name,
            " reads or writes buffer ", index, ", to which nothing is bound.");
    if (bound.bytes != nullptr) {
      bytes.push_back(bound.bytes);
      addresses[index] = bound.bytes->data();
    } else {
      const BufferState& buffer = call.encoding().use(bound.buffer, what);
      addresses[index] = buffer.address + bound.offset;
      // What a kernel does with it, it does not say.
      call.encoding().touch(buffer, bound.offset, buffer.length - bound.offset, true, what);
    }
  }
  std::vector<void*> all(addresses, addresses + kMostBuffers);
  const uint32_t sizes[] = {static_cast<uint32_t>(grid.width), static_cast<uint32_t>(grid.height),
                            static_cast<uint32_t>(grid.depth)};
  std::vector<uint32_t> grid_sizes(sizes, sizes + 3);
  call.encoding()->steps.push_back([run = kernel.run, all, bytes, grid_sizes] { run(all.data(), grid_sizes.data()); });
}

}  // namespace

DoubleComputeCommandEncoder* new_compute_encoder(DoubleCommandBuffer* buffer, MTLDispatchType type) {
  DoubleComputeCommandEncoder* const encoder = [[DoubleComputeCommandEncoder alloc] init];
  state<ComputeEncoderState>(encoder).buffer = buffer;
  state<ComputeEncoderState>(encoder).dispatch_type = type;
  return encoder;
}

}  // namespace apple_double

using namespace apple_double;

@implementation DoubleComputeCommandEncoder
APPLE_DOUBLE_STATE(ComputeEncoderState)
APPLE_DOUBLE_ENCODER

- (MTLDispatchType)dispatchType {
  return state<ComputeEncoderState>(self).dispatch_type;
}
- (void)setComputePipelineState:(id<MTLComputePipelineState>)pipeline {
  EncoderCall call(self, "setComputePipelineState:");
  require([(id)pipeline isKindOfClass:[DoubleComputePipelineState class]],
          "setComputePipelineState: expected an MTLComputePipelineState, got ", public_name(pipeline), ".");
  state<ComputeEncoderState>(self).pipeline = (DoubleComputePipelineState*)pipeline;
  call.encoding()->kept.push_back((id)pipeline);
}
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
  EncoderCall call(self, "setBuffer:");
  Argument& bound = argument(self, index, "setBuffer:");
  if (buffer != nil) {
    const BufferState& here = buffer_state(buffer, "setBuffer: the buffer");
    require(offset < here.length, "setBuffer: offset ", offset, " is not in the buffer of ", here.length, " bytes.");
    require(offset % 4 == 0, "setBuffer: offset ", offset, " is not a multiple of 4.");
  }
  bound = {buffer, offset, nullptr};
}
- (void)setBufferOffset:(NSUInteger)offset atIndex:(NSUInteger)index {
  [self setBuffer:argument(self, index, "setBufferOffset:").buffer.get() offset:offset atIndex:index];
}
- (void)setBuffers:(const id<MTLBuffer>*)buffers offsets:(const NSUInteger*)offsets withRange:(NSRange)range {
  for (NSUInteger i = 0; i < range.length; ++i) {
    [self setBuffer:buffers[i] offset:offsets[i] atIndex:range.location + i];
  }
}
- (void)setBytes:(const void*)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
  EncoderCall call(self, "setBytes:");
  require(length > 0 && length <= kMostBytesSet, "setBytes: of ", length, " bytes: expected 1 to ", kMostBytesSet, ".");
  const char* const first = static_cast<const char*>(bytes);
  argument(self, index, "setBytes:") = {nil, 0, std::make_shared<std::vector<char>>(first, first + length)};
}
- (void)dispatchThreads:(MTLSize)threads threadsPerThreadgroup:(MTLSize)group {
  dispatch(self, threads, group, "dispatchThreads:");
}
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)group {
  const MTLSize threads = {groups.width * group.width, groups.height * group.height, groups.depth * group.depth};
  dispatch(self, threads, group, "dispatchThreadgroups:");
}
- (void)memoryBarrierWithScope:(MTLBarrierScope)scope {
  (void)scope;
  EncoderCall(self, "memoryBarrierWithScope:");
}
- (void)memoryBarrierWithResources:(const id<MTLResource>*)resources count:(NSUInteger)count {
  (void)resources, (void)count;
  EncoderCall(self, "memoryBarrierWithResources:");
}
@end
