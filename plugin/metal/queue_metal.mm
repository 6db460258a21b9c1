#include "plugin/metal/queue_metal.h"

#include <algorithm>
#include <string>

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/core/log.h"
#include "plugin/core/process.h"
#include "plugin/core/timeline.h"
#include "plugin/metal/os.h"

namespace mps {
namespace {

// A queue gives 64 command buffers by default, and the next request blocks until one is done. Few are ours, but
// MPSGraph may commit one and go on with another in the middle of an op.
constexpr NSUInteger kMostCommandBuffers = 256;
constexpr size_t kMostInFlight = 32;
// While the GPU has nothing to do it should not wait for a full command buffer.
constexpr size_t kIdleShare = 8;
constexpr size_t kScratchBytes = 16;

size_t at_least_one(int64_t value, const char* variable) {
  MPS_CHECK(value >= 1, kArgument, variable, " is too small: expected at least 1, got ", value,
            ". Correct or unset it.");
  return static_cast<size_t>(value);
}

// "matmul, relu and 3 more": the ops of a command buffer, each once.
std::string names_of(std::vector<const char*> ops) {
  constexpr size_t kMostNames = 4;
  std::vector<std::string> names;
  for (const char* op : ops) {
    if (std::find(names.begin(), names.end(), op) == names.end()) names.emplace_back(op);
  }
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMostNames) text += " and " + std::to_string(names.size() - kMostNames) + " more";
  return text;
}

std::exception_ptr failure_of(const std::vector<const char*>& ops, NSError* error) {
  const std::string words = error == nil ? "no description" : text_of([error localizedDescription]);
  const OpScope scope(ops.empty() ? "mps" : ops.front());
  try {
    const bool memory = error != nil && [error code] == MTLCommandBufferErrorOutOfMemory &&
                        [[error domain] isEqualToString:MTLCommandBufferErrorDomain];
    MPS_CHECK(!memory, kMemory, "the device ran out of memory: expected room for ", names_of(ops), ", got: ", words,
              ". Delete tensors or make the batch smaller.");
    MPS_THROW(kDevice, "the device failed: expected it to run ", names_of(ops), ", got: ", words,
              ". Set PADDLE_MPS_COMMIT_OPS=1 to learn which op it is.");
  } catch (const Error&) {
    return std::current_exception();
  }
}

// The GPU's clock stands still while the machine sleeps, so the system's time is that of now, less what has passed.
int64_t since_1970_ns(double gpu_time) {
  return Timeline::now_ns() - static_cast<int64_t>((gpu_clock() - gpu_time) * 1e9);
}

void run_callback(const MetalQueue::Callback& callback) {
  MPS_POOL;
  try {
    callback();
  } catch (const std::exception& error) {
    MPS_LOG(kError, "a callback of a stream threw: ", error.what());
  }
}

}  // namespace

std::shared_ptr<MetalQueue> MetalQueue::make(std::shared_ptr<MetalContext> context) {
  check_not_forked();
  MPS_POOL;
  // A forked child must not touch what belongs to the parent, not even to destroy it.
  return std::shared_ptr<MetalQueue>(new MetalQueue(std::move(context)), [](MetalQueue* last) {
    if (!is_forked()) delete last;
  });
}

MetalQueue::MetalQueue(std::shared_ptr<MetalContext> context)
    : context_(std::move(context)),
      most_ops_(at_least_one(env::commit_ops(), "PADDLE_MPS_COMMIT_OPS")),
      most_bytes_(at_least_one(env::commit_bytes(), "PADDLE_MPS_COMMIT_BYTES")),
      queue_(adopt([context_->device.get() newCommandQueueWithMaxCommandBufferCount:kMostCommandBuffers])),
      timeline_(adopt([context_->device.get() newSharedEvent])) {
  MPS_CHECK(queue_ && timeline_, kDevice,
            "the device gives no stream: expected a command queue and an event, got none. Destroy unused streams.");
  context_->residency.attach(queue_.get());
}

MetalQueue::~MetalQueue() {
  MPS_POOL;
  context_->residency.detach(queue_.get());
  window_ = nullptr;
  newest_ = nullptr;
  callbacks_ = {};
  scratch_ = {};
  timeline_ = {};
  queue_ = {};
}

void MetalQueue::before_submit() {
  check_not_forked();
  progress_.wait_for_room(kMostInFlight);
}

// -- under the encoding lock ------------------------------------------------------------------------------------------

Encoding& MetalQueue::open() {
  if (window_ == nullptr) {
    capture_before_open(context_->device.get());
    window_ = std::make_shared<Window>(queue_.get(), &context_->bytes);
    watch();
  }
  return window_->encoding;
}

// MPS may have committed the command buffer in the middle of a piece: then there is another one by now.
void MetalQueue::watch() {
  const id<MTLCommandBuffer> root = window_->encoding.root();
  if (root == window_->watched.get()) return;
  window_->watched = retain(root);
  const std::weak_ptr<Window> weak = window_;  // a window that is never committed goes with its queue
  [root addCompletedHandler:^(id<MTLCommandBuffer> commands) {
    if (const std::shared_ptr<Window> window = weak.lock()) note_error(window.get(), commands);
  }];
}

void MetalQueue::add(const char* op, size_t bytes) {
  watch();
  if (window_->ops.empty() && Timeline::is_on()) window_->submission = Timeline::submission();
  window_->ops.push_back(op);
  window_->bytes += bytes;
  window_->last = progress_.add();
  const size_t share = progress_.in_flight() == 0 ? kIdleShare : 1;
  if (window_->ops.size() * share >= most_ops_ || window_->bytes >= most_bytes_ / share) commit();
}

void MetalQueue::commit() {
  const std::shared_ptr<Window> window = std::exchange(window_, nullptr);
  newest_ = window;
  Encoding& encoding = window->encoding;
  [encoding.commands() encodeSignalEvent:timeline_.get() value:window->last];
  window->trace = trace_commit(window->ops.size());
  const std::shared_ptr<MetalQueue> self = shared_from_this();
  window->awaited.insert(window->awaited.begin(), {self, progress_.committed(), nullptr});  // those before it
  progress_.commit(window->last);
  [encoding.root() addCompletedHandler:^(id<MTLCommandBuffer> commands) {
    self->finish(window, commands);
  }];
  encoding.commit();
  capture_after_commit();
}

// -- when the GPU is done ---------------------------------------------------------------------------------------------

void MetalQueue::note_error(Window* window, id<MTLCommandBuffer> commands) {
  if ([commands status] != MTLCommandBufferStatusError) return;
  MPS_POOL;
  std::lock_guard<std::mutex> lock(window->mutex);
  if (!window->failed) window->error = retain([commands error]);
  window->failed = true;
}

void MetalQueue::finish(const std::shared_ptr<Window>& window, id<MTLCommandBuffer> commands) {
  MPS_POOL;
  note_error(window.get(), commands);
  trace_done(window->trace);
  // After an error the GPU has not set the event. Handlers come in order, so a value that this sets back, since the GPU
  // went on in between, is corrected by the next one.
  if ([timeline_.get() signaledValue] < window->last) [timeline_.get() setSignaledValue:window->last];
  window->end = [commands GPUEndTime];
  if (window->end == 0) window->end = gpu_clock();  // it failed before it began
  note_time(*window, commands);
  window->encoding.release_kept();  // what it held is freed before anyone hears that it is done
  window->watched = {};
  conclude(window);
}

// For a profiler: the command buffer as one piece of work, since the GPU tells no times of its parts.
void MetalQueue::note_time(const Window& window, id<MTLCommandBuffer> commands) {
  if (!Timeline::is_on() || [commands GPUStartTime] == 0) return;
  TimelineEvent event;
  event.kind = TimelineEvent::Kind::kGraph;
  event.submission = window.submission;
  event.name = names_of(window.ops);
  event.stream = this;
  event.start_ns = since_1970_ns([commands GPUStartTime]);
  event.end_ns = since_1970_ns([commands GPUEndTime]);
  Timeline::add(std::move(event));
}

// The GPU may have reached a mark of another queue, and gone on here, before anyone has heard of it there. Whoever
// hears of this piece expects the mark to be reached, and no later than this, so they are told in that order.
void MetalQueue::conclude(const std::shared_ptr<Window>& window) {
  if (!window->awaited.empty()) {
    const Mark mark = std::move(window->awaited.back());
    window->awaited.pop_back();
    return mark.queue->progress_.when_reached(mark.ticket, [self = shared_from_this(), window, moment = mark.moment] {
      if (moment != nullptr) window->end = std::max(window->end, moment->load());
      self->conclude(window);
    });
  }
  end_ = std::max(end_, window->end);
  for (const auto& moment : window->moments) moment->store(end_);
  std::exception_ptr failure;
  {
    std::lock_guard<std::mutex> lock(window->mutex);
    if (window->failed) failure = failure_of(window->ops, window->error.get());
  }
  progress_.done(window->last, std::move(failure));
  std::lock_guard<std::mutex> lock(window->mutex);
  window->done = true;  // callbacks that come from now on follow these
  if (!window->callbacks.empty()) run(std::exchange(window->callbacks, {}));
}

// Not on the thread of the completion handlers: a callback may wait for its own stream.
void MetalQueue::run(std::vector<Callback> callbacks) {
  const auto list = std::make_shared<std::vector<Callback>>(std::move(callbacks));
  dispatch_async(callbacks_.get(), ^{
    for (const Callback& callback : *list) run_callback(callback);
  });
}

// -- for everybody ----------------------------------------------------------------------------------------------------

void MetalQueue::flush(Ticket ticket) {
  if (progress_.committed() >= ticket || is_forked()) return;
  MPS_POOL;
  std::lock_guard<std::mutex> lock(mutex_);
  if (window_ != nullptr && progress_.committed() < ticket) commit();
}

void MetalQueue::wait(Ticket ticket) {
  flush(ticket);
  progress_.wait(ticket);
}

MetalQueue::Mark MetalQueue::mark(bool timed) {
  if (!timed) return {shared_from_this(), last(), nullptr};
  before_submit();
  MPS_POOL;
  std::lock_guard<std::mutex> lock(mutex_);
  Encoding& encoding = open();
  if (window_->ops.empty()) {
    // A command buffer without work may have no time.
    if (!scratch_) {
      scratch_ = adopt([context_->device.get() newBufferWithLength:kScratchBytes options:MTLResourceStorageModeShared]);
    }
    MPS_CHECK(scratch_, kMemory, "no memory for an event: expected ", kScratchBytes, " bytes, got none.");
    encoding.fill(scratch_.get(), 0, kScratchBytes, 0);
  }
  const auto moment = std::make_shared<Moment>(0.0);
  window_->moments.push_back(moment);
  window_->ops.push_back("record");
  const Ticket ticket = window_->last = progress_.add();
  commit();
  return {shared_from_this(), ticket, moment};
}

void MetalQueue::wait_for(const Mark& mark) {
  submit("wait", 0, [&](Encoding& encoding) {
    [encoding.commands() encodeWaitForEvent:mark.queue->timeline_.get() value:mark.ticket];
    window_->awaited.push_back(mark);
  });
}

void MetalQueue::add_callback(Callback callback) {
  check_not_forked();
  MPS_POOL;
  std::lock_guard<std::mutex> lock(mutex_);
  if (!callbacks_) callbacks_ = adopt(dispatch_queue_create("paddle_mps.callbacks", DISPATCH_QUEUE_SERIAL));
  if (window_ != nullptr && !window_->ops.empty()) {
    window_->callbacks.push_back(std::move(callback));
    return commit();
  }
  if (newest_ != nullptr) {
    std::lock_guard<std::mutex> window_lock(newest_->mutex);
    if (!newest_->done) return newest_->callbacks.push_back(std::move(callback));
  }
  run({std::move(callback)});
}

}  // namespace mps
