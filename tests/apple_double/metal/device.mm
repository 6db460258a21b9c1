#include "tests/apple_double/metal/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/metal/encoders.h"
#include "tests/apple_double/metal/event.h"
#include "tests/apple_double/metal/memory.h"
#include "tests/apple_double/metal/queue.h"
#include "tests/apple_double/metal/residency.h"
#include "tests/apple_double/metal/shader.h"

namespace apple_double {
namespace {

// New memory holds garbage on a Mac. Of large pieces the beginning has to do: filling them takes time.
constexpr size_t kGarbageBytes = size_t{32} << 20;

std::atomic<uint64_t> taken_bytes{0};

struct DeviceState {};
struct ArchitectureState {
  Kept<NSString*> name;
};

bool is_virtual() { return machine() == Machine::kVirtual; }

}  // namespace

std::shared_ptr<Pages> Pages::take(size_t bytes) {
  if (taken_bytes.fetch_add(bytes) + bytes > memory_bytes()) {
    taken_bytes -= bytes;
    return nullptr;
  }
  void* const base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    taken_bytes -= bytes;
    return nullptr;
  }
  std::memset(base, 0xFF, std::min(bytes, kGarbageBytes));  // NaN in every float type
  return std::shared_ptr<Pages>(new Pages(static_cast<char*>(base), bytes));
}

Pages::~Pages() {
  munmap(base_, bytes_);
  taken_bytes -= bytes_;
}

uint64_t Pages::taken() { return taken_bytes.load(); }

uint64_t recommended_bytes() { return memory_bytes() / 4 * 3; }
uint64_t max_buffer_bytes() { return memory_bytes() / 16 * 9; }
int gpu_generation() { return machine() == Machine::kM4 ? 16 : 14; }

void check_options(MTLResourceOptions options) {
  require((options & ~MTLResourceOptions{0x33F}) == 0 && tracking_of(options) <= MTLHazardTrackingModeTracked,
          "MTLResourceOptions ", options, " have unknown bits.");
  require(storage_of(options) == MTLStorageModeShared || storage_of(options) == MTLStorageModePrivate,
          "a storage mode that buffers on Apple GPUs do not have: Metal's assertion fails.");
}

DoubleDevice* the_device() {
  install();
  static DoubleDevice* const device = [[DoubleDevice alloc] init];
  return machine() == Machine::kNone ? nil : device;
}

}  // namespace apple_double

using namespace apple_double;

id<MTLDevice> MTLCreateSystemDefaultDevice() { return [the_device() retain]; }

NSArray<id<MTLDevice>>* MTLCopyAllDevices() {
  @autoreleasepool {
    DoubleDevice* const device = the_device();
    return device == nil ? [[NSArray alloc] init] : [[NSArray alloc] initWithObjects:device, nil];
  }
}

@implementation MTLArchitecture
APPLE_DOUBLE_STATE(ArchitectureState)
APPLE_DOUBLE_READONLY(ArchitectureState, NSString*, name)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  return [self retain];
}
@end

@implementation DoubleDevice
APPLE_DOUBLE_STATE(DeviceState)

- (NSString*)name {
  return is_virtual() ? @"Apple Paravirtual device" : machine() == Machine::kM4 ? @"Apple M4" : @"Apple M2 Max";
}
- (MTLArchitecture*)architecture {
  MTLArchitecture* const architecture = [[[MTLArchitecture alloc] init] autorelease];
  state<ArchitectureState>(architecture).name = is_virtual()                ? @"applegpu_paravirtual"
                                                : machine() == Machine::kM4 ? @"applegpu_g16g"
                                                                            : @"applegpu_g14c";
  return architecture;
}
- (uint64_t)registryID {
  return 0x1000003AA;
}
- (BOOL)isLowPower {
  return NO;
}
- (BOOL)isHeadless {
  return NO;
}
- (BOOL)isRemovable {
  return NO;
}
- (BOOL)hasUnifiedMemory {
  return YES;
}
- (MTLDeviceLocation)location {
  return MTLDeviceLocationBuiltIn;
}
- (uint64_t)recommendedMaxWorkingSetSize {
  return recommended_bytes();
}
- (NSUInteger)maxBufferLength {
  return max_buffer_bytes();
}
- (NSUInteger)currentAllocatedSize {
  return Pages::taken();
}
- (NSUInteger)maxThreadgroupMemoryLength {
  return 32768;
}
- (MTLSize)maxThreadsPerThreadgroup {
  return MTLSizeMake(1024, 1024, 1024);
}
- (MTLReadWriteTextureTier)readWriteTextureSupport {
  return MTLReadWriteTextureTier2;
}
- (MTLArgumentBuffersTier)argumentBuffersSupport {
  return MTLArgumentBuffersTier2;
}
- (BOOL)supportsFamily:(MTLGPUFamily)family {
  if (is_virtual()) {
    return family <= MTLGPUFamilyApple5 || family == MTLGPUFamilyMac1 || family == MTLGPUFamilyMac2 ||
           (family >= MTLGPUFamilyCommon1 && family <= MTLGPUFamilyCommon3);
  }
  if (family == MTLGPUFamilyMetal3) return os_at_least(13, 0);
  if (family == MTLGPUFamilyMetal4) return os_at_least(26, 0);
  const MTLGPUFamily newest = machine() == Machine::kM4 ? MTLGPUFamilyApple9 : MTLGPUFamilyApple8;
  return family <= newest || (family >= MTLGPUFamilyMac1 && family <= MTLGPUFamilyCommon3);
}
- (BOOL)supportsCounterSampling:(MTLCounterSamplingPoint)point {
  return point == MTLCounterSamplingPointAtStageBoundary;
}
- (void)sampleTimestamps:(MTLTimestamp*)host gpuTimestamp:(MTLTimestamp*)gpu {
  *host = *gpu = static_cast<MTLTimestamp>(host_seconds() * 1e9);
}

- (MTLSizeAndAlign)heapBufferSizeAndAlignWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  check_options(options);
  const size_t align = heap_align(length);
  return {round_up(length, align), align};
}
- (id<MTLHeap>)newHeapWithDescriptor:(MTLHeapDescriptor*)descriptor {
  return new_heap(descriptor);
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  return new_buffer(length, options);
}
- (id<MTLBuffer>)newBufferWithBytes:(const void*)bytes length:(NSUInteger)length options:(MTLResourceOptions)options {
  DoubleBuffer* const buffer = new_buffer(length, options);
  if (buffer != nil) std::memcpy(state<BufferState>(buffer).address, bytes, length);
  return buffer;
}
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void*)address
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(void (^)(void*, NSUInteger))deallocator {
  return new_buffer_no_copy(address, length, options, deallocator);
}

- (id<MTLCommandQueue>)newCommandQueue {
  return new_queue(64);
}
- (id<MTLCommandQueue>)newCommandQueueWithMaxCommandBufferCount:(NSUInteger)count {
  return new_queue(count);
}
- (id<MTLCommandQueue>)newCommandQueueWithDescriptor:(MTLCommandQueueDescriptor*)descriptor {
  return new_queue(descriptor.maxCommandBufferCount);
}
- (id<MTLEvent>)newEvent {
  return [[DoubleEvent alloc] init];
}
- (id<MTLSharedEvent>)newSharedEvent {
  return [[DoubleSharedEvent alloc] init];
}
- (id<MTLFence>)newFence {
  return [[DoubleFence alloc] init];
}
- (id<MTLLibrary>)newLibraryWithSource:(NSString*)source options:(MTLCompileOptions*)options error:(NSError**)error {
  return new_library(source, options, error);
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function error:(NSError**)error {
  if (error != nullptr) *error = nil;
  return new_pipeline(function);
}
- (id<MTLResidencySet>)newResidencySetWithDescriptor:(MTLResidencySetDescriptor*)descriptor error:(NSError**)error {
  if (error != nullptr) *error = nil;
  require(!is_virtual(), "newResidencySetWithDescriptor: of a device without MTLGPUFamilyMetal3.");
  return new_residency_set(descriptor);
}
@end
