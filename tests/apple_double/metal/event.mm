#include "tests/apple_double/metal/event.h"

#include <chrono>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/metal/device.h"

namespace apple_double {

struct ListenerState {
  Kept<id> queue;
};

void EventValue::set(uint64_t to) {
  std::vector<Listener> due;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    value = to;
    for (size_t i = listeners.size(); i-- > 0;) {
      if (listeners[i].at > to) continue;
      due.push_back(std::move(listeners[i]));
      listeners.erase(listeners.begin() + static_cast<ptrdiff_t>(i));
    }
    changed.notify_all();
  }
  for (Listener& one : due) {
    id<MTLSharedEvent> const event = one.event;
    MTLSharedEventNotificationBlock const block = one.block.get();
    dispatch_async((dispatch_queue_t)state<ListenerState>(one.listener.get()).queue.get(), ^{
      block(event, to);
    });
  }
}

bool EventValue::wait(uint64_t until, int64_t timeout_ms, const std::string& who) {
  const bool for_ever = timeout_ms < 0 || timeout_ms > patience_ms();
  std::unique_lock<std::mutex> lock(mutex);
  const auto reached = [&] { return value >= until; };
  const auto patience = std::chrono::milliseconds(for_ever ? patience_ms() : timeout_ms);
  if (changed.wait_for(lock, patience, reached)) return true;
  require(
      !for_ever, who, " waits for an event to reach ", until, ", but nothing signals it: it stands at ", value,
      ". On a Mac this waits for ever. (An event whose command buffer fails is not signalled by Metal: do it on the "
      "host.)");
  return false;
}

std::shared_ptr<EventValue> event_value(id<MTLEvent> event) {
  const bool ours =
      [(id)event isKindOfClass:[DoubleEvent class]] || [(id)event isKindOfClass:[DoubleSharedEvent class]];
  require(ours, "expected an MTLEvent, got ", public_name(event), ".");
  return state<EventState>(event).value;
}

}  // namespace apple_double

using namespace apple_double;

@implementation DoubleEvent
APPLE_DOUBLE_STATE(EventState)
APPLE_DOUBLE_PROPERTY(EventState, NSString*, label, setLabel)
- (id<MTLDevice>)device {
  return given(the_device());
}
@end

@implementation DoubleSharedEvent
APPLE_DOUBLE_STATE(EventState)
APPLE_DOUBLE_PROPERTY(EventState, NSString*, label, setLabel)
- (id<MTLDevice>)device {
  return given(the_device());
}
- (uint64_t)signaledValue {
  EventValue& here = *state<EventState>(self).value;
  const std::lock_guard<std::mutex> lock(here.mutex);
  return here.value;
}
- (void)setSignaledValue:(uint64_t)value {
  state<EventState>(self).value->set(value);
}
- (BOOL)waitUntilSignaledValue:(uint64_t)value timeoutMS:(uint64_t)timeout {
  const auto limit = static_cast<int64_t>(std::min<uint64_t>(timeout, INT64_MAX));
  return state<EventState>(self).value->wait(value, limit, "waitUntilSignaledValue:timeoutMS:");
}
- (void)notifyListener:(MTLSharedEventListener*)listener
               atValue:(uint64_t)value
                 block:(MTLSharedEventNotificationBlock)block {
  const std::shared_ptr<EventValue> here = state<EventState>(self).value;
  uint64_t reached = 0;
  {
    const std::lock_guard<std::mutex> lock(here->mutex);
    here->listeners.push_back({listener, self, value, block});
    reached = here->value;
  }
  if (reached >= value) here->set(reached);
}
- (MTLSharedEventHandle*)newSharedEventHandle {
  violation("newSharedEventHandle: the double knows one process only.");
}
@end

@implementation MTLSharedEventListener
APPLE_DOUBLE_STATE(ListenerState)
+ (MTLSharedEventListener*)sharedListener {
  static MTLSharedEventListener* const listener = [[MTLSharedEventListener alloc] init];
  return listener;
}
- (instancetype)init {
  dispatch_queue_t queue = dispatch_queue_create("shared events", DISPATCH_QUEUE_SERIAL);
  self = [self initWithDispatchQueue:queue];
  [(id)queue release];
  return self;
}
- (instancetype)initWithDispatchQueue:(dispatch_queue_t)queue {
  self = [super init];
  state<ListenerState>(self).queue = queue;
  return self;
}
- (dispatch_queue_t)dispatchQueue {
  return (dispatch_queue_t)given(state<ListenerState>(self).queue.get());
}
@end
