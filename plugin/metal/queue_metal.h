// The in-order queue under a stream of Metal: one MTLCommandQueue, the command buffer that is open on it, and how far
// the GPU has come.
//
// Work is encoded into the open command buffer, under the encoding lock, and the buffer is committed when it holds
// enough (PADDLE_MPS_COMMIT_OPS, PADDLE_MPS_COMMIT_BYTES) or when somebody wants to know: waits, asks, or lets another
// stream wait. At its end each command buffer sets the queue's shared event to the ticket of its last piece, so that a
// mark in a stream is a ticket and nothing else, for the host and for other queues. Where the GPU fails it does not set
// the event; then the completion handler does.
//
// Any thread may call anything. A queue lives until its last command buffer is done.
#pragma once

#import <Metal/Metal.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "plugin/metal/context_metal.h"
#include "plugin/metal/encoding_metal.h"
#include "plugin/metal/progress_metal.h"
#include "plugin/metal/trace_metal.h"

namespace mps {

class MetalQueue : public std::enable_shared_from_this<MetalQueue> {
 public:
  using Callback = std::function<void()>;
  // When a mark was reached, in seconds on the clock of GPUEndTime; 0 before that.
  using Moment = std::atomic<double>;
  // A point in a queue.
  struct Mark {
    std::shared_ptr<MetalQueue> queue;  // null: none
    Ticket ticket = 0;
    std::shared_ptr<const Moment> moment;  // null: its time is not kept
  };

  static std::shared_ptr<MetalQueue> make(std::shared_ptr<MetalContext> context);
  ~MetalQueue();
  MetalQueue(const MetalQueue&) = delete;
  MetalQueue& operator=(const MetalQueue&) = delete;

  // Encodes a piece of work: calls encode(Encoding&). `op` names it in errors and lives for ever; `bytes` is what it
  // reads and writes. If encode() throws there is no piece.
  template <typename Encode>
  void submit(const char* op, size_t bytes, Encode&& encode) {
    before_submit();
    MPS_POOL;
    std::lock_guard<std::mutex> lock(mutex_);
    {
      const EncodeSpan span(op);
      encode(open());
    }
    add(op, bytes);
  }
  // Runs `work` on this thread if the stream has nothing to do; returns whether it did.
  template <typename Work>
  bool run_if_idle(Work&& work) {
    before_submit();
    std::lock_guard<std::mutex> lock(mutex_);
    if (!progress_.reached(last())) return false;
    work();
    return true;
  }

  Ticket last() const { return progress_.submitted(); }
  Ticket completed() const { return progress_.completed(); }
  // Commits what is needed for the ticket to be reached.
  void flush(Ticket ticket);
  bool reached(Ticket ticket) {
    flush(ticket);
    return progress_.reached(ticket);
  }
  // Returns when the piece of this ticket, and so every one before it, is done.
  void wait(Ticket ticket);
  void rethrow(Ticket ticket) { progress_.rethrow(ticket); }

  // The point behind everything submitted so far. Keeping its time ends the command buffer.
  Mark mark(bool timed);
  // Lets later work of this queue start after a mark of another one, which must have been flushed.
  void wait_for(const Mark& mark);
  // Calls back on a thread of the system's when what was submitted so far is done.
  void add_callback(Callback callback);

 private:
  // A command buffer: open, then in flight.
  struct Window {
    Window(id<MTLCommandQueue> queue, Bytes* bytes) : encoding(queue, bytes) {}
    Encoding encoding;
    Ref<id<MTLCommandBuffer>> watched;  // the last one of Metal's whose errors are noted
    std::vector<const char*> ops;
    size_t bytes = 0;
    Ticket last = 0;
    uint64_t trace = 0;
    uint32_t submission = 0;  // of its first piece, while a profiler records
    std::vector<std::shared_ptr<Moment>> moments;
    double end = 0;
    std::vector<Mark> awaited;  // what must be known to be done before it, here and in other queues
    std::mutex mutex;           // guards what follows
    bool failed = false;
    Ref<NSError*> error;
    bool done = false;
    std::vector<Callback> callbacks;
  };

  explicit MetalQueue(std::shared_ptr<MetalContext> context);
  void before_submit();
  Encoding& open();
  void add(const char* op, size_t bytes);
  void commit();
  void watch();
  void finish(const std::shared_ptr<Window>& window, id<MTLCommandBuffer> commands);
  void conclude(const std::shared_ptr<Window>& window);
  static void note_error(Window* window, id<MTLCommandBuffer> commands);
  void note_time(const Window& window, id<MTLCommandBuffer> commands);
  void run(std::vector<Callback> callbacks);

  const std::shared_ptr<MetalContext> context_;
  const size_t most_ops_, most_bytes_;
  Ref<id<MTLCommandQueue>> queue_;
  Ref<id<MTLSharedEvent>> timeline_;  // its value is the ticket reached
  Progress progress_;
  double end_ = 0;                  // of the newest command buffer that is known to be done
  std::mutex mutex_;                // THE encoding lock; guards what follows
  std::shared_ptr<Window> window_;  // the open one, if there is one
  std::shared_ptr<Window> newest_;  // the last one that was committed
  Ref<dispatch_queue_t> callbacks_;
  Ref<id<MTLBuffer>> scratch_;
};

}  // namespace mps
