// Where exceptions of ours become Paddle's.
//
// Out of a kernel only Paddle's own error type may come; anything else ends the process. The same goes for the
// callbacks of the runtime interface: they are C functions by their type and return a status, but for a status other
// than success Paddle itself throws, at the call, its own error with nothing but the number in it. Throwing that error
// here, with the text, is the same for everything between the callback and Python, and the user reads what went wrong.
//
// Where Paddle calls from a destructor, or does not look at the status, nothing may be thrown: see quiet_callback.
#pragma once

#include <exception>
#include <string>

#include "paddle/phi/backends/device_ext.h"
#include "plugin/core/check.h"
#include "plugin/core/interrupt.h"
#include "plugin/core/process.h"

namespace mps::paddle {

// Throws the Paddle error of the same kind; Python sees ValueError, NotImplementedError,
// MemoryError, OSError or RuntimeError.
[[noreturn]] void throw_to_paddle(ErrorKind kind, const char* message);
// Rethrows the exception in flight as Paddle's; one that is Paddle's already passes unchanged.
[[noreturn]] void rethrow_to_paddle();

// The message of the last call that failed on this thread, or an empty string, and its kind (kInternal if the exception
// was none of ours).
const char* last_error() noexcept;
ErrorKind last_error_kind() noexcept;
void set_last_error(ErrorKind kind, const char* message) noexcept;
// Keeps the exception in flight for the two; the second logs it as well.
void keep_last_error() noexcept;
void log_last_error() noexcept;

// Runs the body of a callback; `name` is the callback's own. Throws Paddle's error.
template <typename F>
C_Status guard_callback(const char* name, F&& body) {
  OpScope scope(name);
  try {
    body();
  } catch (...) {
    keep_last_error();
    rethrow_to_paddle();
  }
  return C_SUCCESS;
}

// The same for one that uses the device, which a child of fork() cannot do.
template <typename F>
C_Status device_callback(const char* name, F&& body) {
  return guard_callback(name, [&] {
    check_not_forked();
    body();
  });
}

// The same for one that waits for the device: a signal may end it.
template <typename F>
C_Status wait_callback(const char* name, F&& body) {
  const Interruptible interruptible;
  return device_callback(name, body);
}

// For one out of which nothing may come: an error is logged, and it succeeds. Does nothing in a child of fork(), where
// it would take locks that nobody releases.
template <typename F>
C_Status quiet_callback(const char* name, F&& body) noexcept {
  if (is_forked()) return C_SUCCESS;
  OpScope scope(name);
  try {
    body();
  } catch (...) {
    log_last_error();
  }
  return C_SUCCESS;
}

}  // namespace mps::paddle
