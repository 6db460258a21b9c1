// Command queues: command buffers run in order on the queue's thread; their handlers are called on another one.
#pragma once

#include <Metal/Metal.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/apple_double/metal/command_buffer.h"

@interface DoubleCommandQueue : NSObject <MTLCommandQueue>
@end

namespace apple_double {

class QueueCore : public std::enable_shared_from_this<QueueCore> {
 public:
  explicit QueueCore(size_t most) : most_(most) {}

  // Waits for room for one more command buffer that is not done.
  void enter();
  void leave(const CommandBufferState* state);  // one that will not be committed
  void enqueue(DoubleCommandBuffer* buffer);
  void commit(DoubleCommandBuffer* buffer);
  void stop();

 private:
  void loop();

  const size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_, room_;
  std::deque<Kept<DoubleCommandBuffer*>> order_;  // enqueued or committed
  size_t alive_ = 0;                              // command buffers that are not done
  size_t committed_ = 0;                          // those of them that will be
  bool started_ = false, stopping_ = false;
};

// Calls handlers on the thread that calls all handlers, some time later. It has no autorelease pool.
void call_later(DoubleCommandBuffer* buffer, std::vector<KeptBlock<MTLCommandBufferHandler>> handlers);

DoubleCommandQueue* new_queue(size_t most);

}  // namespace apple_double
