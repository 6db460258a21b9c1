// A point in a stream of Metal: its queue and a ticket. Recording costs nothing, since the ticket of whatever was
// submitted last is the mark, and the queue's one shared event serves all of them; with timing on, the mark ends a
// command buffer, whose time it has. An event keeps the queue of its stream alive, so it outlives the stream.
//
// Any thread may call anything.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "plugin/core/device.h"
#include "plugin/metal/queue_metal.h"

namespace mps {

class MetalEvent final : public Event {
 public:
  bool query() const override;
  void drain() override;
  void synchronize() override;
  void enable_timing() override { timed_.store(true); }
  std::optional<double> reached_at() const override;

  bool is_timed() const { return timed_.load(); }
  void set(MetalQueue::Mark mark);
  MetalQueue::Mark mark() const;

 private:
  std::atomic<bool> timed_{false};
  mutable std::mutex mutex_;
  MetalQueue::Mark mark_;
};

}  // namespace mps
