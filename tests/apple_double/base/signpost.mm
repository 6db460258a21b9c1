// os_log and os_signpost: emitted names are counted, and intervals must end.
#include <os/signpost.h>

#include <atomic>
#include <mutex>

#include "tests/apple_double/base/object.h"
#include "tests/apple_double/double.h"

struct LogState {
  std::string subsystem;
};

@protocol OS_os_log
@end

@interface DoubleOSLog : NSObject <OS_os_log>
@end
@implementation DoubleOSLog
APPLE_DOUBLE_STATE(LogState)
@end

namespace apple_double {
namespace {

std::mutex mutex;
std::map<std::string, int64_t>& counts() {
  static auto* const map = new std::map<std::string, int64_t>;
  return *map;
}

}  // namespace

std::map<std::string, int64_t> signposts() {
  const std::lock_guard<std::mutex> lock(mutex);
  return counts();
}

}  // namespace apple_double

os_log_t os_log_create(const char* subsystem, const char*) {
  DoubleOSLog* const log = [[DoubleOSLog alloc] init];
  apple_double::state<LogState>(log).subsystem = subsystem;
  return (os_log_t)log;
}

bool os_signpost_enabled(os_log_t log) { return log != nil; }

os_signpost_id_t os_signpost_id_generate(os_log_t) {
  static std::atomic<uint64_t> next{1};
  return next++;
}

void _os_signpost_emit_with_name_impl(void*, os_log_t log, os_signpost_type_t, os_signpost_id_t signpost,
                                      const char* name, const char*, uint8_t*, uint32_t) {
  apple_double::require(log != nil, "a signpost of no log.");
  if (signpost == OS_SIGNPOST_ID_NULL || signpost == OS_SIGNPOST_ID_INVALID) return;
  const std::lock_guard<std::mutex> lock(apple_double::mutex);
  ++apple_double::counts()[name];
}
