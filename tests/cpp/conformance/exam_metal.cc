// The Metal device under exam: on a Mac it is the machine's GPU, elsewhere the test double (tests/apple_double), which
// plays the macOS that PADDLE_MPS_DOUBLE_OS names.
#include <algorithm>
#include <stdexcept>

#include "tests/cpp/conformance/exam.h"
#if MPS_APPLE_DOUBLE
#include "tests/apple_double/double.h"
#endif

namespace mps {

extern const Backend kMetalBackend;

namespace exam {

std::unique_ptr<Device> open_device(int64_t delay_us) {
#if MPS_APPLE_DOUBLE
  static const int64_t always = apple_double::delay_us();
  apple_double::set_delay_us(std::max(delay_us, always));
#else
  (void)delay_us;  // a GPU cannot be told to be late
#endif
  std::string reason;
  std::vector<std::unique_ptr<Device>> devices = kMetalBackend.open(&reason);
  if (devices.empty()) throw std::runtime_error("no Metal device to examine: " + reason);
  return std::move(devices.front());
}

Span<const Exception> exceptions() { return {}; }

}  // namespace exam
}  // namespace mps
