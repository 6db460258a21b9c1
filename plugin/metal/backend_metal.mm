// The Metal backend: the GPUs of this Mac that we compute on, mostly one.
#import <Metal/Metal.h>

#include "plugin/metal/device_metal.h"
#include "plugin/metal/objc.h"
#include "plugin/metal/properties_metal.h"

namespace mps {
namespace {

std::vector<std::unique_ptr<Device>> open(std::string* reason_if_none) {
  MPS_POOL;
  std::vector<Ref<id<MTLDevice>>> found;
  const auto all = adopt(MTLCopyAllDevices());
  for (id<MTLDevice> device in all.get()) found.push_back(retain(device));
  // Sessions without a display, sandboxes and virtual machines may see no list, but one device.
  if (found.empty()) {
    if (auto device = adopt(MTLCreateSystemDefaultDevice())) found.push_back(std::move(device));
  }
  std::vector<std::unique_ptr<Device>> devices;
  if (found.empty()) *reason_if_none = "the system shows this process no Metal device.";
  for (const auto& device : found) {
    const std::string reason = refusal(device.get());
    if (reason.empty()) {
      devices.push_back(std::make_unique<MetalDevice>(device.get()));
    } else {
      *reason_if_none += (reason_if_none->empty() ? "" : " ") + reason;
    }
  }
  if (!devices.empty()) reason_if_none->clear();
  return devices;
}

}  // namespace

extern const Backend kMetalBackend;
const Backend kMetalBackend = {"metal", open};

}  // namespace mps
