#include "plugin/metal/device_metal.h"

#include <utility>

#include "plugin/core/process.h"
#include "plugin/metal/buffer_metal.h"
#include "plugin/metal/compile_metal.h"
#include "plugin/metal/event_metal.h"
#include "plugin/metal/properties_metal.h"
#include "plugin/metal/stream_metal.h"

namespace mps {

MetalDevice::MetalDevice(id<MTLDevice> device)
    : context_(std::make_shared<MetalContext>(device)), properties_(describe(device)) {}

MetalDevice::~MetalDevice() = default;

uint64_t MetalDevice::driver_allocated_bytes() const { return is_forked() ? 0 : [device() currentAllocatedSize]; }

std::unique_ptr<Heap> MetalDevice::new_heap(size_t bytes) { return MetalHeap::make(context_, bytes); }

std::unique_ptr<Buffer> MetalDevice::wrap(void* address, size_t bytes) { return wrap_pages(device(), address, bytes); }

std::unique_ptr<Stream> MetalDevice::new_stream() { return std::make_unique<MetalStream>(context_); }

std::unique_ptr<Event> MetalDevice::new_event() { return std::make_unique<MetalEvent>(); }

std::string MetalDevice::supports(const Graph& graph) const { return supports_metal(graph); }

std::shared_ptr<const Executable> MetalDevice::compile(const Graph& graph) {
  check_not_forked();
  MPS_POOL;
  return compile_metal(device(), graph);
}

void MetalDevice::on_memory_pressure(std::function<void()> handler) {
  std::unique_ptr<MemoryPressure> next;
  if (handler != nullptr) {
    const std::weak_ptr<MetalContext> weak = context_;
    next = std::make_unique<MemoryPressure>([weak, handler = std::move(handler)] {
      handler();
      if (const auto context = weak.lock()) context->residency.relax();
    });
  }
  std::lock_guard<std::mutex> lock(pressure_mutex_);
  pressure_.swap(next);
}

}  // namespace mps
