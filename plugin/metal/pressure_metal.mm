#include "plugin/metal/pressure_metal.h"

#include <exception>

#include "plugin/core/log.h"

namespace mps {

MemoryPressure::MemoryPressure(std::function<void()> handler)
    : queue_(adopt(dispatch_queue_create("paddle_mps.pressure", DISPATCH_QUEUE_SERIAL))),
      source_(adopt(dispatch_source_create(DISPATCH_SOURCE_TYPE_MEMORYPRESSURE, 0,
                                           DISPATCH_MEMORYPRESSURE_WARN | DISPATCH_MEMORYPRESSURE_CRITICAL,
                                           queue_.get()))) {
  if (!source_) {
    MPS_LOG(kWarning, "the system does not tell when memory is short.");
    return;
  }
  dispatch_source_set_event_handler(source_.get(), ^{
    MPS_POOL;
    try {
      handler();
    } catch (const std::exception& error) {
      MPS_LOG(kWarning, "memory could not be given back: ", error.what());
    }
  });
  dispatch_activate(source_.get());
}

MemoryPressure::~MemoryPressure() {
  if (!source_) return;
  dispatch_source_cancel(source_.get());
  dispatch_sync(queue_.get(), ^{
                });
}

}  // namespace mps
