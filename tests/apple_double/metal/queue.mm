#include "tests/apple_double/metal/queue.h"

#include <chrono>
#include <functional>
#include <set>
#include <thread>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/base/settle.h"
#include "tests/apple_double/metal/residency.h"

namespace apple_double {
namespace {

// One thread for the handlers of all queues, in the order in which the work was done. Never destroyed.
class Handlers {
 public:
  static Handlers& get() {
    static auto* const one = new Handlers;
    return *one;
  }

  void push(std::function<void()> task) {
    work_begins();
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
    wake_.notify_all();
  }

 private:
  Handlers() {
    std::thread([this] { loop(); }).detach();
  }

  void loop() {
    while (true) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return !tasks_.empty(); });
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      delay();
      task();
      task = nullptr;
      work_ends();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
};

struct QueueState {
  Kept<NSString*> label;
  std::shared_ptr<QueueCore> core;
  std::set<Kept<id>> residency_sets;
  ~QueueState() {
    if (core != nullptr) core->stop();
  }
};

}  // namespace

void call_later(DoubleCommandBuffer* buffer, std::vector<KeptBlock<MTLCommandBufferHandler>> handlers) {
  if (handlers.empty()) return;
  Handlers::get().push([kept = Kept<DoubleCommandBuffer*>(buffer), handlers = std::move(handlers)] {
    for (const auto& handler : handlers) handler.get()(kept.get());
  });
}

void QueueCore::enter() {
  std::unique_lock<std::mutex> lock(mutex_);
  require(alive_ < most_ || committed_ > 0, "commandBuffer: ", most_,
          " command buffers of this queue are alive and none "
          "of them is committed: this waits for ever.");
  require(room_.wait_for(lock, std::chrono::milliseconds(patience_ms()), [this] { return alive_ < most_; }),
          "commandBuffer: ", most_, " command buffers of this queue are not done, and none ends: this waits for ever.");
  ++alive_;
}

void QueueCore::leave(const CommandBufferState*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  --alive_;
  room_.notify_all();
}

void QueueCore::enqueue(DoubleCommandBuffer* buffer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  order_.push_back(buffer);
}

void QueueCore::commit(DoubleCommandBuffer* buffer) {
  work_begins();
  const std::lock_guard<std::mutex> lock(mutex_);
  ++committed_;
  if (!state<CommandBufferState>(buffer).enqueued) order_.push_back(buffer);
  if (!started_) std::thread([self = shared_from_this()] { self->loop(); }).detach();
  started_ = true;
  wake_.notify_all();
}

void QueueCore::stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void QueueCore::loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] {
      return stopping_ || (!order_.empty() && state<CommandBufferState>(order_.front().get()).committed);
    });
    if (order_.empty()) return;
    Kept<DoubleCommandBuffer*> buffer = std::move(order_.front());
    order_.pop_front();
    lock.unlock();
    delay();
    run_command_buffer(buffer);
    lock.lock();
    --alive_;
    --committed_;
    room_.notify_all();
    lock.unlock();
    // What it kept is released when its handlers were called, and not here: the queue itself may be among it.
    Handlers::get().push([buffer = std::move(buffer)]() mutable {
      CommandBufferState& done = state<CommandBufferState>(buffer.get());
      for (const auto& handler : done.completed) handler.get()(buffer.get());
      @autoreleasepool {
        done.completed.clear();
        done.scheduled.clear();
        done.kept.clear();
        buffer = nil;
      }
    });
    work_ends();
    lock.lock();
  }
}

DoubleCommandQueue* new_queue(size_t most) {
  require(most > 0, "newCommandQueueWithMaxCommandBufferCount: 0.");
  DoubleCommandQueue* const queue = [[DoubleCommandQueue alloc] init];
  state<QueueState>(queue).core = std::make_shared<QueueCore>(most);
  return queue;
}

}  // namespace apple_double

using namespace apple_double;

@implementation DoubleCommandQueue
APPLE_DOUBLE_STATE(QueueState)
APPLE_DOUBLE_PROPERTY(QueueState, NSString*, label, setLabel)

- (id<MTLDevice>)device {
  return given(the_device());
}
- (id<MTLCommandBuffer>)commandBuffer {
  state<QueueState>(self).core->enter();
  return [new_command_buffer(self, state<QueueState>(self).core) autorelease];
}
- (id<MTLCommandBuffer>)commandBufferWithUnretainedReferences {
  id<MTLCommandBuffer> buffer = [self commandBuffer];
  state<CommandBufferState>(buffer).retained_references = false;
  return buffer;
}
- (id<MTLCommandBuffer>)commandBufferWithDescriptor:(MTLCommandBufferDescriptor*)descriptor {
  id<MTLCommandBuffer> buffer = [self commandBuffer];
  state<CommandBufferState>(buffer).retained_references = descriptor.retainedReferences;
  state<CommandBufferState>(buffer).error_options = descriptor.errorOptions;
  return buffer;
}

- (void)addResidencySet:(id<MTLResidencySet>)set {
  std::set<Kept<id>>& sets = state<QueueState>(self).residency_sets;
  sets.insert((id)set);
  require(sets.size() <= kMostResidencySets, "addResidencySet: a queue holds at most ", kMostResidencySets, " sets.");
}
- (void)addResidencySets:(const id<MTLResidencySet>*)sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; ++i) [self addResidencySet:sets[i]];
}
- (void)removeResidencySet:(id<MTLResidencySet>)set {
  state<QueueState>(self).residency_sets.erase((id)set);
}
- (void)removeResidencySets:(const id<MTLResidencySet>*)sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; ++i) [self removeResidencySet:sets[i]];
}
@end
