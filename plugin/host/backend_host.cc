#include "plugin/host/backend_host.h"

#include "plugin/core/env.h"
#include "plugin/host/device_host.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

std::vector<std::unique_ptr<Device>> open(std::string* reason_if_none) {
  vector_kernels();  // what is wrong with PADDLE_MPS_HOST_VECTORS is said here, before any op
  HostOptions options;
  options.reference = env::host_reference();
  options.delay_us = env::host_delay_us();
  std::vector<std::unique_ptr<Device>> devices;
  for (int64_t i = 0; i < env::host_devices(); ++i) devices.push_back(std::make_unique<HostDevice>(options));
  if (devices.empty()) *reason_if_none = "PADDLE_MPS_HOST_DEVICES is 0.";
  return devices;
}

}  // namespace

const Backend kHostBackend = {"host", open};

}  // namespace mps
