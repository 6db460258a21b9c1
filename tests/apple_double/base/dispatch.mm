// Dispatch: serial queues with a thread each, the global queues, semaphores, data, and memory-pressure sources.
//
// As on a Mac, blocks run on threads without an autorelease pool that drains soon: code in them brings its own.
#include <dispatch/dispatch.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/base/object.h"
#include "tests/apple_double/base/settle.h"

namespace apple_double {
namespace {

using Block = KeptBlock<dispatch_block_t>;

// Its thread starts with the first block and goes on until the queue is released and empty.
class SerialQueue : public std::enable_shared_from_this<SerialQueue> {
 public:
  void push(Block block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_begins();
    blocks_.push_back(std::move(block));
    if (!started_) std::thread([self = shared_from_this()] { self->loop(); }).detach();
    started_ = true;
    wake_.notify_all();
  }

  void stop() {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }

  bool is_here() const { return current_ == this; }

 private:
  void loop() {
    current_ = this;
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !blocks_.empty(); });
      if (blocks_.empty()) return;
      Block block = std::move(blocks_.front());
      blocks_.pop_front();
      lock.unlock();
      delay();
      block.get()();
      block = Block();
      work_ends();
      lock.lock();
    }
  }

  static thread_local const SerialQueue* current_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Block> blocks_;
  bool started_ = false, stopping_ = false;
};

thread_local const SerialQueue* SerialQueue::current_ = nullptr;

struct QueueState {
  std::shared_ptr<SerialQueue> queue = std::make_shared<SerialQueue>();
  ~QueueState() { queue->stop(); }
};

struct SemaphoreState {
  std::mutex mutex;
  std::condition_variable changed;
  intptr_t value = 0;
};

struct DataState {
  const void* bytes = nullptr;
  size_t size = 0;
  Block destructor;
};

struct SourceState {
  Kept<id> queue;
  uintptr_t mask = 0, data = 0;
  Block handler;
  bool active = false, cancelled = false;
};

}  // namespace
}  // namespace apple_double

using namespace apple_double;

@interface DoubleOSDispatchQueue : NSObject <OS_dispatch_queue>
@end
@implementation DoubleOSDispatchQueue
APPLE_DOUBLE_STATE(QueueState)
@end

@interface DoubleOSDispatchSemaphore : NSObject <OS_dispatch_semaphore>
@end
@implementation DoubleOSDispatchSemaphore
APPLE_DOUBLE_STATE(SemaphoreState)
@end

@interface DoubleOSDispatchData : NSObject <OS_dispatch_data>
@end
@implementation DoubleOSDispatchData
APPLE_DOUBLE_STATE(DataState)
@end

@interface DoubleOSDispatchSource : NSObject <OS_dispatch_source>
@end
@implementation DoubleOSDispatchSource
APPLE_DOUBLE_STATE(SourceState)
@end

struct dispatch_source_type_s {
  int unused;
};
extern "C" const dispatch_source_type_s _dispatch_source_type_memorypressure = {0};

namespace apple_double {
namespace {

std::mutex sources_mutex;
std::set<id>& sources() {  // not retained: a source that is released is gone
  static auto* const set = new std::set<id>;
  return *set;
}

SerialQueue& queue_of(id queue) {
  require([queue isKindOfClass:[DoubleOSDispatchQueue class]], "expected a dispatch queue, got ", public_name(queue),
          ".");
  return *state<QueueState>(queue).queue;
}

}  // namespace

void raise_memory_pressure(uintptr_t level) {
  std::vector<Kept<id>> told;
  {
    const std::lock_guard<std::mutex> lock(sources_mutex);
    for (id source : sources()) {
      SourceState& here = state<SourceState>(source);
      if (here.active && !here.cancelled && (here.mask & level) != 0 && here.handler.get() != nullptr) {
        here.data = level;
        told.push_back(source);
      }
    }
  }
  for (const Kept<id>& source : told) {
    dispatch_async((dispatch_queue_t)state<SourceState>(source).queue.get(), state<SourceState>(source).handler.get());
  }
}

}  // namespace apple_double

dispatch_queue_t dispatch_queue_create(const char*, dispatch_queue_attr_t) {
  return (dispatch_queue_t)[[DoubleOSDispatchQueue alloc] init];
}

dispatch_queue_global_t dispatch_get_global_queue(intptr_t, uintptr_t) {
  static id const queue = [[DoubleOSDispatchQueue alloc] init];
  return (dispatch_queue_t)queue;
}

void dispatch_async(dispatch_queue_t queue, dispatch_block_t block) { queue_of(queue).push(block); }

void dispatch_sync(dispatch_queue_t queue, dispatch_block_t block) {
  require(!queue_of(queue).is_here(), "dispatch_sync to the queue that is running: a deadlock.");
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  queue_of(queue).push(Block(^{
    block();
    dispatch_semaphore_signal(done);
  }));
  dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
  [(id)done release];
}

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta) {
  require(when == DISPATCH_TIME_NOW, "the double knows dispatch_time(DISPATCH_TIME_NOW, ...) only.");
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<dispatch_time_t>(std::chrono::nanoseconds(now).count() + delta);
}

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value) {
  id semaphore = [[DoubleOSDispatchSemaphore alloc] init];
  state<SemaphoreState>(semaphore).value = value;
  return (dispatch_semaphore_t)semaphore;
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t semaphore) {
  SemaphoreState& here = state<SemaphoreState>(semaphore);
  const std::lock_guard<std::mutex> lock(here.mutex);
  here.changed.notify_all();
  return ++here.value <= 0;
}

intptr_t dispatch_semaphore_wait(dispatch_semaphore_t semaphore, dispatch_time_t until) {
  SemaphoreState& here = state<SemaphoreState>(semaphore);
  std::unique_lock<std::mutex> lock(here.mutex);
  const auto positive = [&] { return here.value > 0; };
  if (until == DISPATCH_TIME_FOREVER) {
    require(here.changed.wait_for(lock, std::chrono::milliseconds(patience_ms()), positive),
            "dispatch_semaphore_wait for ever: nothing signals the semaphore.");
  } else {
    const std::chrono::steady_clock::time_point end{std::chrono::nanoseconds(until)};
    if (!here.changed.wait_until(lock, end, positive)) return 1;
  }
  --here.value;
  return 0;
}

dispatch_data_t dispatch_data_create(const void* bytes, size_t size, dispatch_queue_t, dispatch_block_t destructor) {
  id data = [[DoubleOSDispatchData alloc] init];
  state<DataState>(data).bytes = bytes;
  state<DataState>(data).size = size;
  state<DataState>(data).destructor = destructor;
  return (dispatch_data_t)data;
}

dispatch_source_t dispatch_source_create(dispatch_source_type_t type, uintptr_t, uintptr_t mask,
                                         dispatch_queue_t queue) {
  require(type == DISPATCH_SOURCE_TYPE_MEMORYPRESSURE, "the double knows memory-pressure sources only.");
  id source = [[DoubleOSDispatchSource alloc] init];
  state<SourceState>(source).mask = mask;
  state<SourceState>(source).queue = queue == nil ? dispatch_get_global_queue(0, 0) : queue;
  const std::lock_guard<std::mutex> lock(sources_mutex);
  sources().insert(source);
  return (dispatch_source_t)source;
}

void dispatch_source_set_event_handler(dispatch_source_t source, dispatch_block_t handler) {
  state<SourceState>(source).handler = handler;
}

uintptr_t dispatch_source_get_data(dispatch_source_t source) { return state<SourceState>(source).data; }

void dispatch_source_cancel(dispatch_source_t source) {
  const std::lock_guard<std::mutex> lock(sources_mutex);
  state<SourceState>(source).cancelled = true;
  sources().erase(source);
}

void dispatch_activate(dispatch_object_t source) {
  require([source isKindOfClass:[DoubleOSDispatchSource class]], "the double activates sources only.");
  const std::lock_guard<std::mutex> lock(sources_mutex);
  state<SourceState>(source).active = true;
}

void dispatch_resume(dispatch_object_t source) { dispatch_activate(source); }
