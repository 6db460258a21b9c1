// A point in a host stream: the stream's queue and a ticket of it. Recording costs nothing, since the ticket of
// whatever was submitted last is the mark. An event keeps the queue of its stream alive, so it outlives the stream.
//
// Any thread may call anything.
#pragma once

#include <memory>
#include <mutex>

#include "plugin/core/device.h"
#include "plugin/host/queue_host.h"

namespace mps {

class HostEvent final : public Event {
 public:
  struct Mark {
    std::shared_ptr<HostQueue> queue;  // null: never recorded
    Ticket ticket = 0;
  };

  bool query() const override;
  void drain() override;
  void synchronize() override;

  void set(Mark mark);
  Mark mark() const;

 private:
  mutable std::mutex mutex_;
  Mark mark_;
};

}  // namespace mps
