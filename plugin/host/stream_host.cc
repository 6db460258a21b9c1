#include "plugin/host/stream_host.h"

#include <cstring>
#include <vector>

#include "plugin/core/log.h"
#include "plugin/core/timeline.h"
#include "plugin/host/event_host.h"
#include "plugin/host/executable_host.h"
#include "plugin/host/movement_host.h"

namespace mps {
namespace {

// Work that takes longer than this goes to the worker, so that the caller can prepare the next op meanwhile. Prices are
// those of one thread and of memory in no cache: what is priced so often takes a quarter of it, and waking the worker
// takes some microseconds of the caller.
constexpr uint64_t kInlineNs = 100'000;
// Uploads up to this size are copied aside when they have to wait for earlier work; for larger ones the caller waits.
constexpr size_t kStagedBytes = 256 << 10;

uint64_t copy_cost_ns(size_t bytes) { return bytes / 10; }  // 10 GB/s, memory that is in no cache

// Callbacks of all streams run here, not on the workers: a callback may then wait for its own stream or free memory.
// Never destroyed, like the streams.
HostQueue& callbacks() {
  static const auto* const queue = new std::shared_ptr<HostQueue>(HostQueue::make(0));
  return **queue;
}

void run_callback(const std::function<void()>& callback) {
  try {
    callback();
  } catch (const std::exception& error) {
    MPS_LOG(kError, "a callback of a stream threw: ", error.what());
  }
}

}  // namespace

HostStream::HostStream(int64_t delay_us) : queue_(HostQueue::make(delay_us)) {}

HostStream::~HostStream() {
  queue_->wait(queue_->last());
  try {
    queue_->rethrow(queue_->last());
  } catch (const std::exception& error) {
    MPS_LOG(kError, "a stream was destroyed with an error nobody has waited for: ", error.what());
  }
}

template <typename Work>
void HostStream::submit(const char* op, uint64_t cost_ns, Work&& work) {
  if (cost_ns <= kInlineNs && queue_->run_if_idle(op, work)) return;
  queue_->push(op, std::forward<Work>(work));
}

void HostStream::encode(const std::shared_ptr<const Executable>& executable, Span<const Binding> feeds,
                        Span<const Binding> results, const char* op) {
  using Bindings = SmallVector<HostBinding, 8>;
  const auto& host = static_cast<const HostExecutable&>(*executable);
  Bindings from, to;
  for (const Binding& feed : feeds) from.push_back(HostBinding(feed));
  for (const Binding& result : results) to.push_back(HostBinding(result));
  const Work work{TimelineEvent::Kind::kGraph, op, 0, this};
  const auto run_now = [&] {
    const DeviceSpan span(work);
    host.run(from, to);
  };
  if (host.cost_ns() <= kInlineNs && queue_->run_if_idle(op, run_now)) return;
  queue_->push(op, [executable, from, to, work] {
    const DeviceSpan span(work);
    static_cast<const HostExecutable&>(*executable).run(from, to);
  });
}

void HostStream::copy(const Range& to, const Range& from) {
  MPS_CHECK(to.bytes == from.bytes, kArgument, "copy between ranges of different sizes: expected ", to.bytes,
            " bytes, got ", from.bytes, ".");
  if (to.bytes == 0) return;
  const Work work{TimelineEvent::Kind::kCopy, "copy", to.bytes, this};
  submit("copy", copy_cost_ns(to.bytes), [target = to.address(), source = from.address(), work] {
    const DeviceSpan span(work);
    if (target != source) copy_bytes(target, source, work.bytes);
  });
}

void HostStream::upload(const Range& to, const void* from) {
  if (to.bytes == 0) return;
  void* const target = to.address();
  const size_t bytes = to.bytes;
  const Work work{TimelineEvent::Kind::kCopy, "upload", bytes, this};
  const auto copy_now = [=] {
    const DeviceSpan span(work);
    copy_bytes(target, from, bytes);
  };
  // Nothing before it: the caller would have to wait for the worker anyway.
  if (queue_->run_if_idle("upload", copy_now)) return;
  if (bytes <= kStagedBytes) {
    const char* const first = static_cast<const char*>(from);
    queue_->push("upload", [target, work, staged = std::vector<char>(first, first + bytes)] {
      const DeviceSpan span(work);
      std::memcpy(target, staged.data(), staged.size());
    });
  } else {
    queue_->push("upload", copy_now);
    queue_->wait(queue_->last());
  }
}

void HostStream::download(void* to, const Range& from) {
  if (from.bytes == 0) return;
  const void* const source = from.address();
  const size_t bytes = from.bytes;
  // The caller's next step is to wait for it, so even a large one is better done here.
  const Work work{TimelineEvent::Kind::kCopy, "download", bytes, this};
  const auto copy_now = [=] {
    const DeviceSpan span(work);
    copy_bytes(to, source, bytes);
  };
  if (!queue_->run_if_idle("download", copy_now)) queue_->push("download", copy_now);
}

void HostStream::fill(const Range& to, uint8_t value) {
  if (to.bytes == 0) return;
  const Work work{TimelineEvent::Kind::kFill, "fill", to.bytes, this};
  submit("fill", copy_cost_ns(to.bytes), [target = to.address(), work, value] {
    const DeviceSpan span(work);
    fill_bytes(target, value, work.bytes);
  });
}

void HostStream::record(Event& event) {
  auto& mark = static_cast<HostEvent&>(event);
  std::shared_ptr<HostEvent::Moment> moment;
  if (mark.is_timed()) {
    moment = std::make_shared<HostEvent::Moment>();
    submit("record", 0, [moment] { moment->is_now(); });
  }
  mark.set({queue_, queue_->last(), std::move(moment)});
}

void HostStream::wait(Event& event) {
  HostEvent::Mark mark = static_cast<const HostEvent&>(event).mark();
  // A stream is behind its own marks by itself. Waits cannot form a ring: a mark lies behind earlier work only.
  if (mark.queue == nullptr || mark.queue == queue_ || mark.queue->reached(mark.ticket)) return;
  queue_->push("wait", [mark = std::move(mark)] { mark.queue->wait(mark.ticket); }, /*waits=*/true);
}

void HostStream::add_callback(std::function<void()> callback) {
  submit("callback", 0,
         [callback = std::move(callback)] { callbacks().push("callback", [callback] { run_callback(callback); }); });
}

uint64_t HostStream::submitted() const { return queue_->last(); }

uint64_t HostStream::completed() const { return queue_->completed(); }

bool HostStream::query() const { return queue_->reached(queue_->last()); }

void HostStream::drain() { queue_->wait(queue_->last()); }

void HostStream::synchronize() {
  const Ticket last = queue_->last();
  queue_->wait(last);
  queue_->rethrow(last);
}

}  // namespace mps
