#include "tests/apple_double/metal/hazards.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "tests/apple_double/base/violation.h"

namespace apple_double {
namespace {

std::mutex& mutex() {
  static auto* const one = new std::mutex;
  return *one;
}

std::vector<Touch>& touches() {
  static auto* const all = new std::vector<Touch>;
  return *all;
}

bool meet(const Touch& x, const Touch& y) {
  const bool same_pass = x.command_buffer == y.command_buffer && x.pass == y.pass;
  return !same_pass && (x.writes || y.writes) && x.begin < y.begin + y.size && y.begin < x.begin + x.size;
}

}  // namespace

void note_touch(const Touch& touch, bool ordered, const char* what) {
  const std::lock_guard<std::mutex> lock(mutex());
  for (const Touch& other : touches()) {
    require(ordered || !meet(touch, other), what, ": an untracked buffer that another pass, not done yet, ",
            other.writes ? "writes" : "reads", ", and no fence or event between them: the GPU may run both at once.");
  }
  touches().push_back(touch);
}

void forget_touches(const void* command_buffer) {
  const std::lock_guard<std::mutex> lock(mutex());
  auto& all = touches();
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const Touch& touch) { return touch.command_buffer == command_buffer; }),
            all.end());
}

}  // namespace apple_double
