// Command buffers: what was encoded, and the rules of encoding.
#pragma once

#include <Metal/Metal.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/apple_double/base/object.h"
#include "tests/apple_double/metal/memory.h"

@interface DoubleCommandBuffer : NSObject <MTLCommandBuffer>
@end

namespace apple_double {

class QueueCore;

struct CommandBufferState {
  Kept<NSString*> label;
  Kept<id> queue;
  std::shared_ptr<QueueCore> core;
  bool retained_references = true;
  MTLCommandBufferErrorOption error_options = MTLCommandBufferErrorOptionNone;

  // Written by the thread that encodes.
  std::atomic<bool> busy{false};
  std::vector<std::function<void()>> steps;
  std::vector<Kept<id>> kept;
  std::vector<DoubleBuffer*> used;  // each once per use; counted in flight until the GPU is done
  std::vector<KeptBlock<MTLCommandBufferHandler>> scheduled, completed;
  id encoder = nil;  // the open one; not kept
  uint64_t passes = 0;
  bool ordered = false;  // it waits for an event or a fence
  std::vector<std::string> groups;
  bool enqueued = false;
  std::atomic<bool> committed{false};

  // Written by the queue's thread.
  std::mutex mutex;
  std::condition_variable changed;
  MTLCommandBufferStatus status = MTLCommandBufferStatusNotEnqueued;
  Kept<NSError*> error;
  double kernel_start = 0, kernel_end = 0, gpu_start = 0, gpu_end = 0;

  ~CommandBufferState();
};

// One call that encodes. Two threads in one command buffer at a time are a violation.
class Encoding {
 public:
  Encoding(id command_buffer, const char* what);
  ~Encoding() { buffer_.busy.store(false); }
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;

  CommandBufferState* operator->() { return &buffer_; }
  // The GPU uses this buffer: it stays alive, or must be kept alive.
  BufferState& use(id<MTLBuffer> buffer, const char* what);
  // The bytes of it that are read or written.
  void touch(const BufferState& buffer, size_t offset, size_t size, bool writes, const char* what);
  void no_open_encoder(const char* what);

 private:
  CommandBufferState& buffer_;
};

// What stands behind an MTLCommandBuffer, be it an MPSCommandBuffer or not.
DoubleCommandBuffer* underlying(id<MTLCommandBuffer> buffer);

DoubleCommandBuffer* new_command_buffer(id queue, std::shared_ptr<QueueCore> core);

// The queue's thread runs it.
void run_command_buffer(DoubleCommandBuffer* buffer);

double host_seconds();

}  // namespace apple_double
