#include "tests/apple_double/metal/memory.h"

#include <unistd.h>

#include <cstring>

#include "tests/apple_double/base/control.h"

namespace apple_double {

BufferState::~BufferState() {
  require(in_flight.load() == 0, "MTLBuffer '", text(label.get()),
          "' was released while a command buffer that does not retain its resources still uses it: the GPU reads and "
          "writes memory that is somebody else's, or ends with MTLCommandBufferErrorInvalidResource.");
  if (heap.get() != nil) state<HeapState>(heap.get()).used -= round_up(length, heap_align(length));
  if (deallocator.get() != nullptr) deallocator.get()(address, length);
}

BufferState& buffer_state(id<MTLBuffer> buffer, const char* what) {
  require(buffer != nil, what, " is nil: Metal's assertion fails.");
  require([(id)buffer isKindOfClass:[DoubleBuffer class]], what, ": expected an MTLBuffer, got ", public_name(buffer),
          ".");
  return state<BufferState>(buffer);
}

void check_contents(const BufferState& buffer) {
  const auto here = [](MTLPurgeableState purgeable) {
    return purgeable != MTLPurgeableStateEmpty && purgeable != MTLPurgeableStateVolatile;
  };
  require(here(buffer.purgeable), "MTLBuffer '", text(buffer.label.get()),
          "' is used although its purgeable state lets the system take its memory.");
  require(buffer.heap.get() == nil || here(state<HeapState>(buffer.heap.get()).purgeable), "a buffer of MTLHeap '",
          buffer.heap.get() == nil ? "" : text(state<HeapState>(buffer.heap.get()).label.get()),
          "' is used although the heap's purgeable state lets the system take its memory.");
}

DoubleBuffer* new_buffer(size_t length, MTLResourceOptions options) {
  check_options(options);
  require(length > 0, "newBufferWithLength: of 0 bytes: Metal has no empty buffers, its assertion fails.");
  if (length > max_buffer_bytes()) return nil;
  std::shared_ptr<Pages> pages = Pages::take(round_up(length, kSmallAlign));
  if (pages == nullptr) return nil;
  DoubleBuffer* const buffer = [[DoubleBuffer alloc] init];
  BufferState& made = state<BufferState>(buffer);
  made.address = pages->base();
  made.pages = std::move(pages);
  made.length = length;
  made.options = options;
  if (tracking_of(options) == MTLHazardTrackingModeUntracked) made.tracking = MTLHazardTrackingModeUntracked;
  return buffer;
}

DoubleBuffer* new_buffer_no_copy(void* address, size_t length, MTLResourceOptions options,
                                 void (^deallocator)(void*, NSUInteger)) {
  check_options(options);
  const auto page = static_cast<size_t>(getpagesize());
  require(address != nullptr && reinterpret_cast<uintptr_t>(address) % page == 0,
          "newBufferWithBytesNoCopy: the address is not at the beginning of a page: Metal's assertion fails.");
  require(length > 0 && length % page == 0, "newBufferWithBytesNoCopy: ", length,
          " bytes are not a whole number of pages: Metal's assertion fails.");
  require(storage_of(options) == MTLStorageModeShared, "newBufferWithBytesNoCopy: the storage mode must be Shared.");
  if (length > max_buffer_bytes()) return nil;
  DoubleBuffer* const buffer = [[DoubleBuffer alloc] init];
  BufferState& made = state<BufferState>(buffer);
  made.address = static_cast<char*>(address);
  made.length = length;
  made.options = options;
  made.deallocator = deallocator;
  if (tracking_of(options) == MTLHazardTrackingModeUntracked) made.tracking = MTLHazardTrackingModeUntracked;
  return buffer;
}

DoubleHeap* new_heap(MTLHeapDescriptor* descriptor) {
  require(descriptor != nil, "newHeapWithDescriptor: nil: Metal's assertion fails.");
  require(descriptor.size > 0, "newHeapWithDescriptor: of 0 bytes: Metal's assertion fails.");
  require(descriptor.storageMode == MTLStorageModeShared || descriptor.storageMode == MTLStorageModePrivate,
          "newHeapWithDescriptor: heaps are Shared or Private; Managed and Memoryless fail Metal's assertion.");
  std::shared_ptr<Pages> pages = Pages::take(round_up(descriptor.size, kHeapGranule));
  if (pages == nullptr) return nil;
  DoubleHeap* const heap = [[DoubleHeap alloc] init];
  HeapState& made = state<HeapState>(heap);
  made.pages = std::move(pages);
  made.size = round_up(descriptor.size, kHeapGranule);
  made.type = descriptor.type;
  made.options = descriptor.resourceOptions;
  made.tracking = descriptor.hazardTrackingMode == MTLHazardTrackingModeTracked ? MTLHazardTrackingModeTracked
                                                                                : MTLHazardTrackingModeUntracked;
  return heap;
}

}  // namespace apple_double

using namespace apple_double;

@implementation DoubleHeap
APPLE_DOUBLE_STATE(HeapState)
APPLE_DOUBLE_PROPERTY(HeapState, NSString*, label, setLabel)
APPLE_DOUBLE_READONLY(HeapState, NSUInteger, size)
APPLE_DOUBLE_READONLY(HeapState, MTLHeapType, type)

- (id<MTLDevice>)device {
  return given(the_device());
}
- (NSUInteger)usedSize {
  return state<HeapState>(self).used.load();
}
- (NSUInteger)currentAllocatedSize {
  return state<HeapState>(self).size;
}
- (NSUInteger)allocatedSize {
  return state<HeapState>(self).size;
}
- (MTLStorageMode)storageMode {
  return storage_of(state<HeapState>(self).options);
}
- (MTLCPUCacheMode)cpuCacheMode {
  return cache_of(state<HeapState>(self).options);
}
- (MTLHazardTrackingMode)hazardTrackingMode {
  return state<HeapState>(self).tracking;
}
- (MTLResourceOptions)resourceOptions {
  return state<HeapState>(self).options;
}

- (NSUInteger)maxAvailableSizeWithAlignment:(NSUInteger)alignment {
  const HeapState& heap = state<HeapState>(self);
  require(heap.type == MTLHeapTypeAutomatic, "maxAvailableSizeWithAlignment: of a placement heap means nothing.");
  return (heap.size - heap.used.load()) / alignment * alignment;
}

- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  (void)length, (void)options;
  violation("newBufferWithLength:options: of an MTLHeap is for automatic heaps, of which the double has none: name an "
            "offset.");
}

- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options offset:(NSUInteger)offset {
  HeapState& heap = state<HeapState>(self);
  if (heap.type != MTLHeapTypePlacement) return nil;
  require(length > 0, "newBufferWithLength:options:offset: of 0 bytes: Metal has no empty buffers.");
  check_options(options);
  require(
      storage_of(options) == storage_of(heap.options) && cache_of(options) == cache_of(heap.options),
      "newBufferWithLength:options:offset: storage and cache mode differ from the heap's: Metal's assertion fails.");
  require(tracking_of(options) != MTLHazardTrackingModeTracked || heap.tracking == MTLHazardTrackingModeTracked,
          "newBufferWithLength:options:offset: a buffer of an untracked heap cannot be tracked.");
  const size_t align = heap_align(length), size = round_up(length, align);
  require(offset % align == 0, "newBufferWithLength:options:offset: a buffer of ", length,
          " bytes must lie at a multiple of ", align,
          " (heapBufferSizeAndAlignWithLength:options: says so), got offset ", offset, ": undefined behaviour.");
  require(offset <= heap.size && size <= heap.size - offset, "newBufferWithLength:options:offset: ", size,
          " bytes at offset ", offset, " reach beyond the heap's ", heap.size, " bytes: undefined behaviour.");
  DoubleBuffer* const buffer = [[DoubleBuffer alloc] init];
  BufferState& made = state<BufferState>(buffer);
  made.heap = self;
  made.pages = heap.pages;
  made.address = heap.pages->base() + offset;
  made.length = length;
  made.heap_offset = offset;
  made.options = options;
  made.tracking =
      tracking_of(options) == MTLHazardTrackingModeUntracked ? MTLHazardTrackingModeUntracked : heap.tracking;
  heap.used += size;
  return buffer;
}

- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)wanted {
  HeapState& heap = state<HeapState>(self);
  const MTLPurgeableState before = heap.purgeable;
  if (wanted == MTLPurgeableStateKeepCurrent) return before;
  require(wanted == MTLPurgeableStateNonVolatile || heap.in_flight.load() == 0, "MTLHeap '", text(heap.label.get()),
          "' was made purgeable while a command buffer uses its memory.");
  heap.purgeable = wanted;
  if (wanted == MTLPurgeableStateEmpty) std::memset(heap.pages->base(), 0xDD, std::min<size_t>(heap.size, 1 << 20));
  return before;
}
@end

@implementation DoubleBuffer
APPLE_DOUBLE_STATE(BufferState)
APPLE_DOUBLE_PROPERTY(BufferState, NSString*, label, setLabel)
APPLE_DOUBLE_READONLY(BufferState, NSUInteger, length)

- (void*)contents {
  const BufferState& buffer = state<BufferState>(self);
  require(storage_of(buffer.options) == MTLStorageModeShared,
          "contents of a buffer that is not Shared: not for the host.");
  check_contents(buffer);
  return buffer.address;
}
- (MTLGPUAddress)gpuAddress {
  return reinterpret_cast<MTLGPUAddress>(state<BufferState>(self).address);
}
- (id<MTLDevice>)device {
  return given(the_device());
}
- (id<MTLHeap>)heap {
  return given<id<MTLHeap>>(state<BufferState>(self).heap.get());
}
- (NSUInteger)heapOffset {
  return state<BufferState>(self).heap_offset;
}
- (NSUInteger)allocatedSize {
  return round_up(state<BufferState>(self).length, heap_align(state<BufferState>(self).length));
}
- (MTLStorageMode)storageMode {
  return storage_of(state<BufferState>(self).options);
}
- (MTLCPUCacheMode)cpuCacheMode {
  return cache_of(state<BufferState>(self).options);
}
- (MTLHazardTrackingMode)hazardTrackingMode {
  return state<BufferState>(self).tracking;
}
- (MTLResourceOptions)resourceOptions {
  return state<BufferState>(self).options;
}
- (BOOL)isAliasable {
  return NO;
}
- (void)makeAliasable {
  violation("makeAliasable cannot be undone and is for automatic heaps.");
}
- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)wanted {
  BufferState& buffer = state<BufferState>(self);
  require(buffer.heap.get() == nil, "setPurgeableState: of a buffer of a heap: set the heap's.");
  const MTLPurgeableState before = buffer.purgeable;
  if (wanted == MTLPurgeableStateKeepCurrent) return before;
  require(wanted == MTLPurgeableStateNonVolatile || buffer.in_flight.load() == 0, "MTLBuffer '",
          text(buffer.label.get()), "' was made purgeable while a command buffer uses it.");
  buffer.purgeable = wanted;
  return before;
}
- (void)didModifyRange:(NSRange)range {
  (void)range;
  violation("didModifyRange: is for Managed buffers, of which Apple GPUs have none.");
}
- (void)addDebugMarker:(NSString*)marker range:(NSRange)range {
  require(NSMaxRange(range) <= state<BufferState>(self).length, "addDebugMarker: '", text(marker),
          "' reaches beyond the buffer.");
}
- (void)removeAllDebugMarkers {
}
@end
