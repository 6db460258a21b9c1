// One logger: a line on stderr per message, filtered by PADDLE_MPS_LOG, safe from any thread.
#pragma once

#include <string>

#include "plugin/core/check.h"

namespace mps {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

bool log_enabled(LogLevel level);
void log_line(LogLevel level, const std::string& text);

// The arguments are built into a message only if the level is printed.
#define MPS_LOG(level, ...)                                                             \
  do {                                                                                  \
    if (::mps::log_enabled(::mps::LogLevel::level)) {                                   \
      ::mps::log_line(::mps::LogLevel::level, ::mps::detail::concatenate(__VA_ARGS__)); \
    }                                                                                   \
  } while (0)

}  // namespace mps
