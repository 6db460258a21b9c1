// Events: a number that rises, on the GPU's time line or on the host's.
#pragma once

#include <Metal/Metal.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/apple_double/base/object.h"

@interface DoubleEvent : NSObject <MTLEvent>
@end
@interface DoubleSharedEvent : NSObject <MTLSharedEvent>
@end

namespace apple_double {

// Kept by the GPU's work too, so it may outlive its object.
struct EventValue {
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t value = 0;
  struct Listener {
    Kept<MTLSharedEventListener*> listener;
    Kept<id<MTLSharedEvent>> event;
    uint64_t at;
    KeptBlock<MTLSharedEventNotificationBlock> block;
  };
  std::vector<Listener> listeners;

  void set(uint64_t to);
  // False if the value was not reached in time; a violation if time was for ever.
  bool wait(uint64_t until, int64_t timeout_ms, const std::string& who);
};

struct EventState {
  Kept<NSString*> label;
  std::shared_ptr<EventValue> value = std::make_shared<EventValue>();
};

std::shared_ptr<EventValue> event_value(id<MTLEvent> event);

}  // namespace apple_double
