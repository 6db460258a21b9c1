// Errors: their kinds, and the macro that builds their one sentence.
//
// Every message reads `[op] what is wrong: expected E, got G. What to do.` The op in brackets is
// the Paddle op that is running on this thread (see OpScope); code below the kernels need not know
// its name.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace mps {

enum class ErrorKind {
  kArgument,     // the caller passed something wrong; becomes ValueError
  kUnsupported,  // right, but this device or OS cannot do it; becomes NotImplementedError
  kMemory,       // not enough memory; becomes MemoryError
  kDevice,       // the device or driver failed; becomes OSError, with the device's own words
  kInternal,     // our mistake; becomes RuntimeError
  kInterrupted,  // a signal ended a wait; becomes what the signal's handler raised
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// The name of the op that this thread is running; "mps" outside of any.
const char* current_op();

// Names the op for the life of the scope. Scopes nest; `name` must outlive the scope (string
// literals do).
class OpScope {
 public:
  explicit OpScope(const char* name);
  ~OpScope();
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  const char* previous_;
};

namespace detail {
template <typename... Parts>
std::string concatenate(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}
[[noreturn]] void raise(ErrorKind kind, const std::string& text);
}  // namespace detail

// Throws an Error; the arguments are streamed one after the other into the message.
#define MPS_THROW(kind, ...) ::mps::detail::raise(::mps::ErrorKind::kind, ::mps::detail::concatenate(__VA_ARGS__))

// Throws unless the condition holds. The message is built only on failure.
#define MPS_CHECK(condition, kind, ...)                                  \
  do {                                                                   \
    if (__builtin_expect(!(condition), 0)) MPS_THROW(kind, __VA_ARGS__); \
  } while (0)

}  // namespace mps
