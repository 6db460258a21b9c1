// A device that computes nothing: everything else is real. Memory is memory and copies copy, but an encoded executable
// is done the moment it is encoded, and results keep whatever they held.
//
// It measures what a launch costs above the device (PADDLE_MPS_BACKEND=null). Any thread may call anything.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "plugin/core/device.h"

namespace mps {

extern const Backend kNullBackend;

class NullDevice final : public Device {
 public:
  NullDevice();

  const DeviceProperties& properties() const override { return properties_; }
  uint64_t driver_allocated_bytes() const override;
  std::unique_ptr<Heap> new_heap(size_t bytes) override;
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override;
  std::unique_ptr<Stream> new_stream() override;
  std::unique_ptr<Event> new_event() override;
  std::string supports(const Graph& graph) const override;
  std::shared_ptr<const Executable> compile(const Graph& graph) override;

 private:
  DeviceProperties properties_;
  const std::shared_ptr<std::atomic<uint64_t>> allocated_;
};

}  // namespace mps
