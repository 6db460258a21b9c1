#include "plugin/metal/buffer_metal.h"

#include <algorithm>
#include <utility>

#include "plugin/core/check.h"
#include "plugin/core/process.h"

namespace mps {
namespace {

// Of every buffer in a heap; the heap must have been made with the same.
constexpr MTLResourceOptions kOptions = MTLResourceStorageModeShared | MTLResourceHazardTrackingModeTracked;
constexpr size_t kLeastAlignment = 256;
constexpr size_t kMostAlignment = size_t{64} << 10;
constexpr size_t kMostSmall = size_t{64} << 10;

// Whether a buffer of so many bytes may begin at any multiple of `alignment`, and takes no more than its bytes.
bool fits(id<MTLDevice> device, size_t bytes, size_t alignment) {
  const MTLSizeAndAlign asked = [device heapBufferSizeAndAlignWithLength:bytes options:kOptions];
  return asked.size <= bytes && asked.align != 0 && alignment % asked.align == 0;
}

bool large_ones_fit(id<MTLDevice> device, size_t alignment, size_t small) {
  for (size_t count : {1, 2, 3, 5, 8, 63, 64, 1023, 1024, 65536}) {
    if (count * alignment > small && !fits(device, count * alignment, alignment)) return false;
  }
  return true;
}

}  // namespace

MetalBuffer::MetalBuffer(Ref<id<MTLBuffer>> buffer)
    : buffer_(std::move(buffer)), contents_([buffer_.get() contents]), bytes_([buffer_.get() length]) {}

MetalBuffer::~MetalBuffer() {
  if (is_forked()) {
    buffer_.leak();
  } else {
    MPS_POOL;
    buffer_ = {};
  }
}

std::unique_ptr<Heap> MetalHeap::make(std::shared_ptr<MetalContext> context, size_t bytes) {
  check_not_forked();
  MPS_POOL;
  const auto descriptor = adopt([[MTLHeapDescriptor alloc] init]);
  [descriptor.get() setType:MTLHeapTypePlacement];
  [descriptor.get() setStorageMode:MTLStorageModeShared];  // not what is usual for heaps
  [descriptor.get() setHazardTrackingMode:MTLHazardTrackingModeTracked];
  [descriptor.get() setSize:bytes];
  auto heap = adopt([context->device.get() newHeapWithDescriptor:descriptor.get()]);
  if (!heap) return nullptr;
  return std::unique_ptr<Heap>(new MetalHeap(std::move(context), std::move(heap)));
}

MetalHeap::MetalHeap(std::shared_ptr<MetalContext> context, Ref<id<MTLHeap>> heap)
    : context_(std::move(context)), heap_(std::move(heap)), bytes_([heap_.get() size]) {
  [heap_.get() setPurgeableState:MTLPurgeableStateNonVolatile];
  context_->residency.add(heap_.get());
}

MetalHeap::~MetalHeap() {
  if (is_forked()) {
    heap_.leak();
  } else {
    MPS_POOL;
    context_->residency.remove(heap_.get());
    [heap_.get() setPurgeableState:MTLPurgeableStateEmpty];  // its pages go now, not when Metal gets to it
    heap_ = {};
  }
}

std::unique_ptr<Buffer> MetalHeap::new_buffer(size_t offset, size_t bytes) {
  check_not_forked();
  MPS_POOL;
  // Metal would not say: what is misplaced is undefined.
  const MTLSizeAndAlign asked = [context_->device.get() heapBufferSizeAndAlignWithLength:bytes options:kOptions];
  MPS_CHECK(asked.size <= bytes && offset % asked.align == 0 && offset + bytes <= bytes_, kInternal,
            "a buffer does not fit its heap: expected ", asked.size, " bytes at a multiple of ", asked.align, " below ",
            bytes_, ", got ", bytes, " at ", offset, ".");
  auto buffer = adopt([heap_.get() newBufferWithLength:bytes options:kOptions offset:offset]);
  MPS_CHECK(buffer, kDevice, "the device refused a buffer: expected ", bytes, " bytes at ", offset,
            " of a heap, got none. Start the process again.");
  return std::make_unique<MetalBuffer>(std::move(buffer));
}

HeapAlignment heap_alignment(id<MTLDevice> device) {
  for (size_t unit = kLeastAlignment; unit <= kMostAlignment; unit *= 2) {
    size_t small = 0;
    while (small < kMostSmall && fits(device, small + unit, unit)) small += unit;
    // A unit that serves a few sizes only wastes more in the others than a larger one.
    const size_t large = std::max(unit, kLargeAlignment);
    if (small + unit >= std::min(large, kMostSmall) && large_ones_fit(device, large, small)) return {unit, small};
  }
  MPS_THROW(kUnsupported, "the device's heaps cannot be cut: expected buffers at multiples of at most ", kMostAlignment,
            " bytes, got a device that wants more.");
}

std::unique_ptr<Buffer> wrap_pages(id<MTLDevice> device, void* address, size_t bytes) {
  check_not_forked();
  MPS_POOL;
  if (bytes > [device maxBufferLength]) return nullptr;
  auto buffer = adopt([device newBufferWithBytesNoCopy:address
                                                length:bytes
                                               options:MTLResourceStorageModeShared
                                           deallocator:nil]);
  if (!buffer) return nullptr;
  return std::make_unique<MetalBuffer>(std::move(buffer));
}

}  // namespace mps
