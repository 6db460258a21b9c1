// The CPU as a device. Memory is mapped from the system; streams are queues with a worker; executables are planned for
// speed, or walk the graph node by node when the specification is asked for.
//
// Any thread may call anything.
#pragma once

#include <atomic>
#include <memory>

#include "plugin/core/device.h"
#include "plugin/host/scratch_host.h"

namespace mps {

struct HostOptions {
  bool reference = false;  // PADDLE_MPS_HOST_REFERENCE
  int64_t delay_us = 0;    // PADDLE_MPS_HOST_DELAY_US
};

class HostDevice final : public Device {
 public:
  explicit HostDevice(const HostOptions& options);

  const DeviceProperties& properties() const override { return properties_; }
  uint64_t driver_allocated_bytes() const override;
  std::unique_ptr<Heap> new_heap(size_t bytes) override;
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override;
  std::unique_ptr<Stream> new_stream() override;
  std::unique_ptr<Event> new_event() override;
  std::string supports(const Graph& graph) const override;
  std::shared_ptr<const Executable> compile(const Graph& graph) override;

 private:
  const HostOptions options_;
  const DeviceProperties properties_;
  const std::shared_ptr<std::atomic<uint64_t>> mapped_bytes_;  // shared with the heaps
  const std::shared_ptr<Scratch> scratch_;                     // shared with the executables
};

}  // namespace mps
