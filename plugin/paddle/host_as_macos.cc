#include "plugin/paddle/host_as_macos.h"

#include <cstdio>

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/metal/legal/legal.h"

namespace mps::paddle {
namespace {

class AsMacos final : public Device {
 public:
  AsMacos(std::unique_ptr<Device> device, legal::Target target) : device_(std::move(device)), target_(target) {}

  const DeviceProperties& properties() const override { return device_->properties(); }
  uint64_t driver_allocated_bytes() const override { return device_->driver_allocated_bytes(); }
  std::unique_ptr<Heap> new_heap(size_t bytes) override { return device_->new_heap(bytes); }
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override { return device_->wrap(address, bytes); }
  std::unique_ptr<Stream> new_stream() override { return device_->new_stream(); }
  std::unique_ptr<Event> new_event() override { return device_->new_event(); }
  std::string supports(const Graph& graph) const override { return legal::refusal(graph, target_); }
  std::shared_ptr<const Executable> compile(const Graph& graph) override {
    if (const std::string why = supports(graph); !why.empty()) MPS_THROW(kUnsupported, why);
    return device_->compile(graph);
  }
  void on_memory_pressure(std::function<void()> handler) override { device_->on_memory_pressure(std::move(handler)); }

 private:
  const std::unique_ptr<Device> device_;
  const legal::Target target_;
};

legal::Target target() {
  int major = 0, minor = 0;
  const std::string& text = env::host_macos();
  const bool read = std::sscanf(text.c_str(), "%d.%d", &major, &minor) == 2;
  MPS_CHECK(read && major >= 12, kArgument, "bad PADDLE_MPS_HOST_MACOS: expected a release from 12.0 on, got ", text,
            ". Set it to 13.3, say.");
  return {major * 10 + minor};
}

const Backend* inner = nullptr;

std::vector<std::unique_ptr<Device>> open(std::string* reason_if_none) {
  const legal::Target release = target();
  std::vector<std::unique_ptr<Device>> devices = inner->open(reason_if_none);
  for (std::unique_ptr<Device>& device : devices) device = std::make_unique<AsMacos>(std::move(device), release);
  return devices;
}

}  // namespace

const Backend& as_macos(const Backend& backend) {
  if (env::host_macos().empty()) return backend;
  inner = &backend;
  static const Backend wrapped = {backend.name, open};
  return wrapped;
}

}  // namespace mps::paddle
