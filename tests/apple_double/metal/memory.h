// Heaps and buffers.
#pragma once

#include <Metal/Metal.h>

#include <atomic>
#include <memory>

#include "tests/apple_double/base/object.h"
#include "tests/apple_double/metal/device.h"

@interface DoubleHeap : NSObject <MTLHeap>
@end
@interface DoubleBuffer : NSObject <MTLBuffer>
@end

namespace apple_double {

struct HeapState {
  Kept<NSString*> label;
  std::shared_ptr<Pages> pages;
  size_t size = 0;
  MTLHeapType type = MTLHeapTypeAutomatic;
  MTLResourceOptions options = 0;
  MTLHazardTrackingMode tracking = MTLHazardTrackingModeUntracked;
  MTLPurgeableState purgeable = MTLPurgeableStateNonVolatile;
  std::atomic<size_t> used{0};        // bytes of buffers; those of a placement heap may overlap
  std::atomic<int64_t> in_flight{0};  // uses of its buffers by command buffers that are not done
};

struct BufferState {
  Kept<NSString*> label;
  Kept<DoubleHeap*> heap;        // nil: of the device
  std::shared_ptr<Pages> pages;  // null: memory of the program
  char* address = nullptr;
  size_t length = 0, heap_offset = 0;
  MTLResourceOptions options = 0;
  MTLHazardTrackingMode tracking = MTLHazardTrackingModeTracked;
  MTLPurgeableState purgeable = MTLPurgeableStateNonVolatile;
  KeptBlock<void (^)(void*, NSUInteger)> deallocator;
  std::atomic<int64_t> in_flight{0};
  ~BufferState();
};

DoubleHeap* new_heap(MTLHeapDescriptor* descriptor);
DoubleBuffer* new_buffer(size_t length, MTLResourceOptions options);
DoubleBuffer* new_buffer_no_copy(void* address, size_t length, MTLResourceOptions options,
                                 void (^deallocator)(void*, NSUInteger));

// The double's own buffer behind a protocol; a violation if it is none, or empty of meaning. `what` names it in the
// sentence.
BufferState& buffer_state(id<MTLBuffer> buffer, const char* what);
// Before the GPU or the host touches it.
void check_contents(const BufferState& buffer);

}  // namespace apple_double
