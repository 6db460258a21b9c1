// Where exceptions stop. Out of a kernel only Paddle's own error type may come (anything else ends
// the process); out of a runtime callback nothing may, only a C_Status, so the message is logged
// once and kept for Python.
#pragma once

#include <exception>
#include <string>

#include "paddle/phi/backends/device_ext.h"
#include "plugin/core/check.h"

namespace mps::paddle {

// Throws the Paddle error of the same kind; Python sees ValueError, NotImplementedError,
// MemoryError, OSError or RuntimeError.
[[noreturn]] void throw_to_paddle(ErrorKind kind, const char* message);
// Rethrows the exception in flight as Paddle's; one that is Paddle's already passes unchanged.
[[noreturn]] void rethrow_to_paddle();

// Logs the exception in flight, keeps its message for last_error(), and returns the status that
// stands for it.
C_Status report_callback_error() noexcept;
// The message of the last callback that failed on this thread, or an empty string.
const char* last_error() noexcept;
// Its kind; kInternal if the exception was none of ours.
ErrorKind last_error_kind() noexcept;
void set_last_error(const std::string& message) noexcept;

// Runs a callback's body; `name` is the callback's own.
template <typename F>
C_Status guard_callback(const char* name, F&& body) noexcept {
  try {
    OpScope scope(name);
    body();
    return C_SUCCESS;
  } catch (...) {
    return report_callback_error();
  }
}

}  // namespace mps::paddle
