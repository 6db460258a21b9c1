#include "tests/apple_double/base/settle.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/base/violation.h"

namespace apple_double {
namespace {

// Never destroyed: threads of the double outlive the program's end.
struct Work {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t count = 0;
};
Work& work() {
  static auto* const one = new Work;
  return *one;
}

}  // namespace

void work_begins() {
  const std::lock_guard<std::mutex> lock(work().mutex);
  ++work().count;
}

void work_ends() {
  const std::lock_guard<std::mutex> lock(work().mutex);
  if (--work().count == 0) work().changed.notify_all();
}

void settle() {
  std::unique_lock<std::mutex> lock(work().mutex);
  require(work().changed.wait_for(lock, std::chrono::milliseconds(patience_ms()), [] { return work().count == 0; }),
          "work that was begun never ends: ", work().count, " pieces of it.");
}

}  // namespace apple_double
