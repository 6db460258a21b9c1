#include "plugin/host/event_host.h"

#include <chrono>
#include <utility>

namespace mps {

void HostEvent::Moment::is_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  ns.store(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(), std::memory_order_release);
}

void HostEvent::set(Mark mark) {
  std::lock_guard<std::mutex> lock(mutex_);
  mark_.ticket = mark.ticket;
  mark_.moment.swap(mark.moment);
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

std::optional<double> HostEvent::reached_at() const {
  const Mark point = mark();
  if (point.moment == nullptr || !point.queue->reached(point.ticket)) return std::nullopt;
  const int64_t ns = point.moment->ns.load(std::memory_order_acquire);
  if (ns == 0) return std::nullopt;  // the process is ending, and the mark was dropped
  return static_cast<double>(ns) * 1e-9;
}

}  // namespace mps
