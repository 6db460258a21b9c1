#include "plugin/core/history.h"

#include <chrono>

#include "plugin/core/check.h"

namespace mps {

void History::start(size_t capacity) {
  MPS_CHECK(capacity > 0, kArgument, "bad number of events to keep: expected at least 1, got 0.");
  events_.clear();
  capacity_ = capacity;
  count_ = 0;
  on_ = true;
}

void History::add(MemoryEvent event) {
  using std::chrono::duration_cast, std::chrono::nanoseconds, std::chrono::system_clock;
  event.number = count_;
  event.time_ns = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  if (events_.size() < capacity_) {
    events_.push_back(event);
  } else {
    events_[static_cast<size_t>(count_ % capacity_)] = event;
  }
  ++count_;
}

}  // namespace mps
