// Tells when the system runs short of memory.
#pragma once

#include <dispatch/dispatch.h>

#include <functional>

#include "plugin/metal/objc.h"

namespace mps {

class MemoryPressure {
 public:
  // Calls `handler` on a thread of the system's, one call at a time, until the object goes.
  explicit MemoryPressure(std::function<void()> handler);
  ~MemoryPressure();  // waits for a running call
  MemoryPressure(const MemoryPressure&) = delete;
  MemoryPressure& operator=(const MemoryPressure&) = delete;

 private:
  const Ref<dispatch_queue_t> queue_;
  const Ref<dispatch_source_t> source_;
};

}  // namespace mps
