// MPSCommandBuffer: stands for a command buffer, and after commitAndContinue for the next one of the same queue.
#include <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include "tests/apple_double/metal/command_buffer.h"
#include "tests/apple_double/metal/device.h"

namespace apple_double {
namespace {

struct MpsCommandBufferState {
  Kept<id> current;
  Kept<id> heapProvider;
};

id<MTLCommandBuffer> current(id buffer) {
  return (id<MTLCommandBuffer>)state<MpsCommandBufferState>(buffer).current.get();
}

}  // namespace

DoubleCommandBuffer* underlying(id<MTLCommandBuffer> buffer) {
  require(buffer != nil, "the command buffer is nil: the assertion of MPS fails.");
  id found = buffer;
  while ([found isKindOfClass:[MPSCommandBuffer class]]) found = current(found);
  require([found isKindOfClass:[DoubleCommandBuffer class]], "expected an MTLCommandBuffer, got ", public_name(found),
          ".");
  return found;
}

}  // namespace apple_double

using namespace apple_double;

@implementation MPSCommandBuffer
APPLE_DOUBLE_STATE(MpsCommandBufferState)
APPLE_DOUBLE_PROPERTY(MpsCommandBufferState, id<MPSHeapProvider>, heapProvider, setHeapProvider)

+ (instancetype)commandBufferFromCommandQueue:(id<MTLCommandQueue>)queue {
  return [[[self alloc] initWithCommandBuffer:[queue commandBuffer]] autorelease];
}
+ (instancetype)commandBufferWithCommandBuffer:(id<MTLCommandBuffer>)buffer {
  return [[[self alloc] initWithCommandBuffer:buffer] autorelease];
}
- (instancetype)initWithCommandBuffer:(id<MTLCommandBuffer>)buffer {
  self = [super init];
  state<MpsCommandBufferState>(self).current = (id)buffer;
  return self;
}
- (id<MTLCommandBuffer>)commandBuffer {
  return given(current(self));
}
- (id<MTLCommandBuffer>)rootCommandBuffer {
  return given(underlying(self));  // through all MPSCommandBuffers that lie over it
}
- (void)commitAndContinue {
  @autoreleasepool {
    id<MTLCommandBuffer> const done = current(self);
    const BOOL retained = done.retainedReferences;
    [done commit];
    id<MTLCommandQueue> const queue = done.commandQueue;
    state<MpsCommandBufferState>(self).current =
        (id)(retained ? [queue commandBuffer] : [queue commandBufferWithUnretainedReferences]);
  }
}
- (void)prefetchHeapForWorkloadSize:(size_t)bytes {
  (void)bytes;
}

// All of MTLCommandBuffer goes to the current one.
#define APPLE_DOUBLE_GET(type, name) \
  -(type)name {                      \
    return [current(self) name];     \
  }
APPLE_DOUBLE_GET(id<MTLDevice>, device)
APPLE_DOUBLE_GET(id<MTLCommandQueue>, commandQueue)
APPLE_DOUBLE_GET(BOOL, retainedReferences)
APPLE_DOUBLE_GET(MTLCommandBufferErrorOption, errorOptions)
APPLE_DOUBLE_GET(MTLCommandBufferStatus, status)
APPLE_DOUBLE_GET(NSError*, error)
APPLE_DOUBLE_GET(id<MTLLogContainer>, logs)
APPLE_DOUBLE_GET(CFTimeInterval, GPUStartTime)
APPLE_DOUBLE_GET(CFTimeInterval, GPUEndTime)
APPLE_DOUBLE_GET(CFTimeInterval, kernelStartTime)
APPLE_DOUBLE_GET(CFTimeInterval, kernelEndTime)
APPLE_DOUBLE_GET(NSString*, label)
APPLE_DOUBLE_GET(id<MTLBlitCommandEncoder>, blitCommandEncoder)
APPLE_DOUBLE_GET(id<MTLComputeCommandEncoder>, computeCommandEncoder)
APPLE_DOUBLE_GET(void, commit)
APPLE_DOUBLE_GET(void, enqueue)
APPLE_DOUBLE_GET(void, waitUntilCompleted)
APPLE_DOUBLE_GET(void, waitUntilScheduled)
APPLE_DOUBLE_GET(void, popDebugGroup)
#undef APPLE_DOUBLE_GET

#define APPLE_DOUBLE_PASS(result, name, type) \
  -(result)name : (type)value {               \
    return [current(self) name:value];        \
  }
APPLE_DOUBLE_PASS(void, setLabel, NSString*)
APPLE_DOUBLE_PASS(void, addCompletedHandler, MTLCommandBufferHandler)
APPLE_DOUBLE_PASS(void, addScheduledHandler, MTLCommandBufferHandler)
APPLE_DOUBLE_PASS(id<MTLBlitCommandEncoder>, blitCommandEncoderWithDescriptor, MTLBlitPassDescriptor*)
APPLE_DOUBLE_PASS(id<MTLComputeCommandEncoder>, computeCommandEncoderWithDescriptor, MTLComputePassDescriptor*)
APPLE_DOUBLE_PASS(id<MTLComputeCommandEncoder>, computeCommandEncoderWithDispatchType, MTLDispatchType)
APPLE_DOUBLE_PASS(void, pushDebugGroup, NSString*)
APPLE_DOUBLE_PASS(void, useResidencySet, id<MTLResidencySet>)
#undef APPLE_DOUBLE_PASS

- (void)useResidencySets:(const id<MTLResidencySet>*)sets count:(NSUInteger)count {
  [current(self) useResidencySets:sets count:count];
}
- (void)encodeSignalEvent:(id<MTLEvent>)event value:(uint64_t)value {
  [current(self) encodeSignalEvent:event value:value];
}
- (void)encodeWaitForEvent:(id<MTLEvent>)event value:(uint64_t)value {
  [current(self) encodeWaitForEvent:event value:value];
}
@end

BOOL MPSSupportsMTLDevice(id<MTLDevice> device) {
  // "Apple Paravirtual device" runs MPS, too.
  return [(id)device isKindOfClass:[DoubleDevice class]];
}
