// The host device under exam: all questions make sense. PADDLE_MPS_HOST_REFERENCE, PADDLE_MPS_HOST_DELAY_US and
// PADDLE_MPS_FAULT apply, so that the specification, late work and the device that injects faults can be examined too.
#include <algorithm>

#include "plugin/core/env.h"
#include "plugin/core/fault.h"
#include "plugin/host/device_host.h"
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {

std::unique_ptr<Device> open_device(int64_t delay_us) {
  HostOptions options;
  options.reference = env::host_reference();
  options.delay_us = std::max(delay_us, env::host_delay_us());
  return with_faults(std::make_unique<HostDevice>(options));
}

Span<const Exception> exceptions() { return {}; }

}  // namespace mps::exam
