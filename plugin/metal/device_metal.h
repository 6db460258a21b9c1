// An Apple GPU as a device. Memory is cut from placement heaps; a stream is a command queue; executables are compiled
// by MPSGraph.
//
// Any thread may call anything.
#pragma once

#import <Metal/Metal.h>

#include <memory>
#include <mutex>

#include "plugin/core/device.h"
#include "plugin/metal/context_metal.h"
#include "plugin/metal/kept_graphs.h"
#include "plugin/metal/pressure_metal.h"

namespace mps {

class MetalDevice final : public Device {
 public:
  explicit MetalDevice(id<MTLDevice> device);
  ~MetalDevice() override;

  const DeviceProperties& properties() const override { return properties_; }
  uint64_t driver_allocated_bytes() const override;
  std::unique_ptr<Heap> new_heap(size_t bytes) override;
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override;
  std::unique_ptr<Stream> new_stream() override;
  std::unique_ptr<Event> new_event() override;
  std::string supports(const Graph& graph) const override;
  std::shared_ptr<const Executable> compile(const Graph& graph) override;
  void on_memory_pressure(std::function<void()> handler) override;
  std::string kept_graphs_folder() const override { return mps::kept_graphs_folder(); }
  bool clear_kept_graphs() override { return mps::clear_kept_graphs(); }

 private:
  id<MTLDevice> device() const { return context_->device.get(); }

  const std::shared_ptr<MetalContext> context_;
  const DeviceProperties properties_;
  std::mutex pressure_mutex_;
  std::unique_ptr<MemoryPressure> pressure_;
};

}  // namespace mps
