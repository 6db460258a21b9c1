#include "plugin/metal/event_metal.h"

#include <utility>

namespace mps {

void MetalEvent::set(MetalQueue::Mark mark) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::swap(mark_, mark);  // the old queue goes after the lock
}

MetalQueue::Mark MetalEvent::mark() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return mark_;
}

bool MetalEvent::query() const {
  const MetalQueue::Mark point = mark();
  return point.queue == nullptr || point.queue->reached(point.ticket);
}

void MetalEvent::drain() {
  const MetalQueue::Mark point = mark();
  if (point.queue != nullptr) point.queue->wait(point.ticket);
}

void MetalEvent::synchronize() {
  const MetalQueue::Mark point = mark();
  if (point.queue == nullptr) return;
  point.queue->wait(point.ticket);
  point.queue->rethrow(point.ticket);
}

std::optional<double> MetalEvent::reached_at() const {
  const MetalQueue::Mark point = mark();
  if (point.moment == nullptr || !point.queue->reached(point.ticket)) return std::nullopt;
  const double seconds = point.moment->load();
  if (seconds == 0) return std::nullopt;  // a child of fork() hears of nothing
  return seconds;
}

}  // namespace mps
