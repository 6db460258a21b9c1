#include "plugin/host/event_host.h"

#include <utility>

namespace mps {

void HostEvent::set(Mark mark) {
  std::lock_guard<std::mutex> lock(mutex_);
  mark_.ticket = mark.ticket;
  mark_.queue.swap(mark.queue);  // the old queue goes after the lock: its destructor may wait
}

HostEvent::Mark HostEvent::mark() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return mark_;
}

bool HostEvent::query() const {
  const Mark point = mark();
  return point.queue == nullptr || point.queue->reached(point.ticket);
}

void HostEvent::drain() {
  const Mark point = mark();
  if (point.queue != nullptr) point.queue->wait(point.ticket);
}

void HostEvent::synchronize() {
  const Mark point = mark();
  if (point.queue == nullptr) return;
  point.queue->wait(point.ticket);
  point.queue->rethrow(point.ticket);
}

}  // namespace mps
