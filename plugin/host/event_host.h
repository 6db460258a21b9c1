// A point in a host stream: the stream's queue and a ticket of it. Recording costs nothing, since the ticket of
// whatever was submitted last is the mark; with timing on, the mark is a task of its own, which looks at the clock. An
// event keeps the queue of its stream alive, so it outlives the stream.
//
// Any thread may call anything.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "plugin/core/device.h"
#include "plugin/host/queue_host.h"

namespace mps {

class HostEvent final : public Event {
 public:
  // When a mark was reached, on the steady clock; 0 before that.
  struct Moment {
    std::atomic<int64_t> ns{0};
    void is_now();
  };
  struct Mark {
    std::shared_ptr<HostQueue> queue;  // null: never recorded
    Ticket ticket = 0;
    std::shared_ptr<const Moment> moment;  // null: timing was off
  };

  bool query() const override;
  void drain() override;
  void synchronize() override;
  void enable_timing() override { timed_.store(true); }
  std::optional<double> reached_at() const override;

  bool is_timed() const { return timed_.load(); }
  void set(Mark mark);
  Mark mark() const;

 private:
  std::atomic<bool> timed_{false};
  mutable std::mutex mutex_;
  Mark mark_;
};

}  // namespace mps
