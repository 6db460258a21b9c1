// The host device under exam: all questions make sense.
#include "plugin/host/device_host.h"
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {

std::unique_ptr<Device> open_device(int64_t delay_us) {
  HostOptions options;
  options.delay_us = delay_us;
  return std::make_unique<HostDevice>(options);
}

Span<const Exception> exceptions() { return {}; }

}  // namespace mps::exam
