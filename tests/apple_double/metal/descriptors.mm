// Descriptors: plain values. Each has the defaults that Metal's headers name.
#include <Metal/Metal.h>

#include "tests/apple_double/base/object.h"
#include "tests/apple_double/metal/device.h"

namespace apple_double {

struct HeapDescriptorState {
  NSUInteger size = 0;
  MTLHeapType type = MTLHeapTypeAutomatic;
  MTLResourceOptions options = MTLResourceStorageModePrivate;
};

struct CommandBufferDescriptorState {
  BOOL retainedReferences = YES;
  MTLCommandBufferErrorOption errorOptions = MTLCommandBufferErrorOptionNone;
  Kept<id> logState;
};

struct CommandQueueDescriptorState {
  NSUInteger maxCommandBufferCount = 64;
  Kept<id> logState;
};

struct ResidencySetDescriptorState {
  Kept<NSString*> label;
  NSUInteger initialCapacity = 0;
};

struct ComputePassDescriptorState {
  MTLDispatchType dispatchType = MTLDispatchTypeSerial;
};

struct BlitPassDescriptorState {};

template <class State>
id copy_of(id object) {
  id made = [[(id)object_getClass(object) alloc] init];
  state<State>(made) = state<State>(object);
  return made;
}

}  // namespace apple_double

using namespace apple_double;

#define APPLE_DOUBLE_COPYABLE(State)             \
  APPLE_DOUBLE_STATE(State)                      \
  -(id)copyWithZone : (NSZone*)zone {            \
    (void)zone;                                  \
    return ::apple_double::copy_of<State>(self); \
  }

@implementation MTLHeapDescriptor
APPLE_DOUBLE_COPYABLE(HeapDescriptorState)
APPLE_DOUBLE_PROPERTY(HeapDescriptorState, NSUInteger, size, setSize)
APPLE_DOUBLE_PROPERTY(HeapDescriptorState, MTLHeapType, type, setType)
- (MTLResourceOptions)resourceOptions {
  return state<HeapDescriptorState>(self).options;
}
- (void)setResourceOptions:(MTLResourceOptions)options {
  check_options(options);
  state<HeapDescriptorState>(self).options = options;
}
// The three are parts of the options.
- (MTLStorageMode)storageMode {
  return storage_of(self.resourceOptions);
}
- (void)setStorageMode:(MTLStorageMode)mode {
  self.resourceOptions = (self.resourceOptions & ~MTLResourceOptions{0xF0}) | (mode << 4);
}
- (MTLCPUCacheMode)cpuCacheMode {
  return cache_of(self.resourceOptions);
}
- (void)setCpuCacheMode:(MTLCPUCacheMode)mode {
  self.resourceOptions = (self.resourceOptions & ~MTLResourceOptions{0xF}) | mode;
}
- (MTLHazardTrackingMode)hazardTrackingMode {
  return tracking_of(self.resourceOptions);
}
- (void)setHazardTrackingMode:(MTLHazardTrackingMode)mode {
  self.resourceOptions = (self.resourceOptions & ~MTLResourceOptions{0x300}) | (mode << 8);
}
@end

@implementation MTLCommandBufferDescriptor
APPLE_DOUBLE_COPYABLE(CommandBufferDescriptorState)
APPLE_DOUBLE_PROPERTY(CommandBufferDescriptorState, BOOL, retainedReferences, setRetainedReferences)
APPLE_DOUBLE_PROPERTY(CommandBufferDescriptorState, MTLCommandBufferErrorOption, errorOptions, setErrorOptions)
APPLE_DOUBLE_PROPERTY(CommandBufferDescriptorState, id<MTLLogState>, logState, setLogState)
@end

@implementation MTLCommandQueueDescriptor
APPLE_DOUBLE_COPYABLE(CommandQueueDescriptorState)
APPLE_DOUBLE_PROPERTY(CommandQueueDescriptorState, NSUInteger, maxCommandBufferCount, setMaxCommandBufferCount)
APPLE_DOUBLE_PROPERTY(CommandQueueDescriptorState, id<MTLLogState>, logState, setLogState)
@end

@implementation MTLResidencySetDescriptor
APPLE_DOUBLE_COPYABLE(ResidencySetDescriptorState)
APPLE_DOUBLE_PROPERTY(ResidencySetDescriptorState, NSString*, label, setLabel)
APPLE_DOUBLE_PROPERTY(ResidencySetDescriptorState, NSUInteger, initialCapacity, setInitialCapacity)
@end

@implementation MTLComputePassDescriptor
APPLE_DOUBLE_COPYABLE(ComputePassDescriptorState)
APPLE_DOUBLE_PROPERTY(ComputePassDescriptorState, MTLDispatchType, dispatchType, setDispatchType)
+ (MTLComputePassDescriptor*)computePassDescriptor {
  return [[[self alloc] init] autorelease];
}
@end

@implementation MTLBlitPassDescriptor
APPLE_DOUBLE_COPYABLE(BlitPassDescriptorState)
+ (MTLBlitPassDescriptor*)blitPassDescriptor {
  return [[[self alloc] init] autorelease];
}
@end
