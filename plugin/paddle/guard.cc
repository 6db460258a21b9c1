#include "plugin/paddle/guard.h"

#include <new>

#include "paddle/phi/core/enforce.h"
#include "paddle/phi/core/memory/allocation/allocator.h"
#include "plugin/core/log.h"

namespace mps::paddle {
namespace {

thread_local std::string t_last_error;
thread_local ErrorKind t_last_error_kind = ErrorKind::kInternal;

}  // namespace

void throw_to_paddle(ErrorKind kind, const char* message) {
  switch (kind) {
    case ErrorKind::kArgument:
      PADDLE_THROW(common::errors::InvalidArgument("%s", message));
    case ErrorKind::kUnsupported:
      PADDLE_THROW(common::errors::Unimplemented("%s", message));
    case ErrorKind::kMemory:
      PADDLE_THROW(common::errors::ResourceExhausted("%s", message));
    case ErrorKind::kDevice:
      PADDLE_THROW(common::errors::External("%s", message));
    case ErrorKind::kInternal:
      PADDLE_THROW(common::errors::Fatal("%s", message));
    case ErrorKind::kInterrupted:  // replaced on its way; see signals.h
      PADDLE_THROW(common::errors::External("%s", message));
  }
  __builtin_unreachable();
}

void rethrow_to_paddle() {
  try {
    throw;
  } catch (const common::enforce::EnforceNotMet&) {
    throw;
  } catch (const ::paddle::memory::allocation::BadAlloc&) {
    throw;  // from ctx.Alloc(); Paddle's too, and a MemoryError in Python
  } catch (const Error& error) {
    throw_to_paddle(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    throw_to_paddle(ErrorKind::kMemory, "the host is out of memory.");
  } catch (const std::exception& error) {
    throw_to_paddle(ErrorKind::kInternal, error.what());
  } catch (...) {
    throw_to_paddle(ErrorKind::kInternal, "an exception of unknown type.");
  }
}

void set_last_error(ErrorKind kind, const char* message) noexcept {
  t_last_error_kind = kind;
  try {
    t_last_error = message;
  } catch (const std::bad_alloc&) {
    t_last_error.clear();
  }
}

void keep_last_error() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    set_last_error(error.kind(), error.what());
  } catch (const std::exception& error) {
    set_last_error(ErrorKind::kInternal, error.what());
  } catch (...) {
    set_last_error(ErrorKind::kInternal, "");
  }
}

void log_last_error() noexcept {
  keep_last_error();
  try {
    MPS_LOG(kError, t_last_error);
  } catch (const std::bad_alloc&) {
    // The message itself is kept.
  }
}

const char* last_error() noexcept { return t_last_error.c_str(); }
ErrorKind last_error_kind() noexcept { return t_last_error_kind; }

}  // namespace mps::paddle
