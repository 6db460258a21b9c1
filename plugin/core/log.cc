#include "plugin/core/log.h"

#include <cstdio>

#include "plugin/core/env.h"

namespace mps {
namespace {

constexpr const char* kNames[] = {"debug", "info", "warning", "error", "off"};

LogLevel threshold_from_environment() {
  for (int i = 0; i <= static_cast<int>(LogLevel::kOff); ++i) {
    if (env::log_level() == kNames[i]) return static_cast<LogLevel>(i);
  }
  // Logging must never throw: say so once and go on with the default.
  std::fprintf(stderr, "paddle_mps warning: PADDLE_MPS_LOG='%s' is not debug, info, warning, error or off\n",
               env::log_level().c_str());
  return LogLevel::kWarning;
}

}  // namespace

bool log_enabled(LogLevel level) {
  static const LogLevel threshold = threshold_from_environment();
  return level >= threshold;
}

void log_line(LogLevel level, const std::string& text) {
  // One call, so that lines of several threads do not mix.
  std::fprintf(stderr, "paddle_mps %s: %s\n", kNames[static_cast<int>(level)], text.c_str());
}

}  // namespace mps
