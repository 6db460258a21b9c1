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
constexpr size_t kMostAlignment = size_t{1} << 20;

// Whether buffers of multiples of `unit` can lie at multiples of it, as far as the device says of some sizes.
bool fits(id<MTLDevice> device, size_t unit) {
  for (size_t count : {size_t{1}, size_t{2}, size_t{3}, size_t{5}, size_t{7}, size_t{63}, size_t{64}, size_t{1023}}) {
    const MTLSizeAndAlign asked = [device heapBufferSizeAndAlignWithLength:unit * count options:kOptions];
    // Blocks of many pages lie at multiples of 16 KiB, small ones at multiples of the unit.
    const size_t place = unit * count >= (size_t{64} << 10) ? std::max(unit, size_t{16} << 10) : unit;
    if (asked.size > unit * count || asked.align == 0 || place % asked.align != 0) return false;
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

size_t heap_alignment(id<MTLDevice> device) {
  size_t unit = kLeastAlignment;
  while (!fits(device, unit)) {
    unit *= 2;
    MPS_CHECK(unit <= kMostAlignment, kUnsupported,
              "the device's heaps cannot be cut: expected buffers at multiples of ", kMostAlignment,
              " bytes or less, got a device that wants more.");
  }
  return unit;
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
