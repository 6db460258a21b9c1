#include "plugin/metal/stream_metal.h"

#include <cstring>

#include "plugin/core/check.h"
#include "plugin/core/log.h"
#include "plugin/core/timeline.h"
#include "plugin/metal/buffer_metal.h"
#include "plugin/metal/event_metal.h"
#include "plugin/metal/executable_metal.h"

namespace mps {
namespace {

// Uploads up to this size are copied aside when they have to wait for earlier work; for larger ones the caller waits.
constexpr size_t kStagedBytes = 256 << 10;
constexpr size_t kStagingBytes = size_t{1} << 20;

size_t bytes_of(Span<const Binding> bindings) {
  size_t sum = 0;
  for (const Binding& binding : bindings) sum += binding.range.bytes;
  return sum;
}

}  // namespace

MetalStream::MetalStream(std::shared_ptr<MetalContext> context)
    : context_(std::move(context)), queue_(MetalQueue::make(context_)) {}

MetalStream::~MetalStream() {
  MPS_POOL;
  queue_->wait(queue_->last());
  try {
    queue_->rethrow(queue_->last());
  } catch (const std::exception& error) {
    MPS_LOG(kError, "a stream was destroyed with an error nobody has waited for: ", error.what());
  }
  staging_ = {};
}

void MetalStream::encode(const std::shared_ptr<const Executable>& executable, Span<const Binding> feeds,
                         Span<const Binding> results, const char* op) {
  const auto& metal = static_cast<const MetalExecutable&>(*executable);
  queue_->submit(op, bytes_of(feeds) + bytes_of(results), [&](Encoding& encoding) {
    metal.encode(encoding, feeds, results);
    encoding.keep(executable);
  });
}

void MetalStream::copy(const Range& to, const Range& from) {
  MPS_CHECK(to.bytes == from.bytes, kArgument, "copy between ranges of different sizes: expected ", to.bytes,
            " bytes, got ", from.bytes, ".");
  if (to.bytes == 0 || (to.buffer == from.buffer && to.offset == from.offset)) return;
  queue_->submit("copy", 2 * to.bytes, [&](Encoding& encoding) {
    encoding.copy(mtl_buffer(*to.buffer), to.offset, mtl_buffer(*from.buffer), from.offset, to.bytes);
  });
}

MetalStream::Staged MetalStream::stage(const void* from, size_t bytes) {
  if (!staging_ || staged_ + bytes > kStagingBytes) {
    staging_ = adopt([context_->device.get() newBufferWithLength:kStagingBytes options:MTLResourceStorageModeShared]);
    MPS_CHECK(staging_, kMemory, "no memory for an upload: expected ", kStagingBytes, " bytes, got none.");
    staged_ = 0;
  }
  const Staged staged = {staging_.get(), staged_};
  std::memcpy(static_cast<char*>([staged.buffer contents]) + staged.offset, from, bytes);
  staged_ = (staged_ + bytes + 3) / 4 * 4;  // for blits
  return staged;
}

void MetalStream::upload(const Range& to, const void* from) {
  if (to.bytes == 0) return;
  const auto now = [&] {
    const DeviceSpan span({TimelineEvent::Kind::kCopy, "upload", to.bytes, nullptr});
    std::memcpy(to.address(), from, to.bytes);
  };
  if (to.bytes > kStagedBytes) queue_->wait(queue_->last());
  while (!queue_->run_if_idle(now)) {
    if (to.bytes <= kStagedBytes) {
      return queue_->submit("upload", to.bytes, [&](Encoding& encoding) {
        const Staged staged = stage(from, to.bytes);
        encoding.copy(mtl_buffer(*to.buffer), to.offset, staged.buffer, staged.offset, to.bytes);
      });
    }
    queue_->wait(queue_->last());  // for what other threads have submitted meanwhile
  }
}

// The caller's next step is to wait for it, and memory is shared: there is nothing for the GPU to do.
void MetalStream::download(void* to, const Range& from) {
  if (from.bytes == 0) return;
  queue_->wait(queue_->last());
  const DeviceSpan span({TimelineEvent::Kind::kCopy, "download", from.bytes, nullptr});
  std::memcpy(to, from.address(), from.bytes);
}

void MetalStream::fill(const Range& to, uint8_t value) {
  if (to.bytes == 0) return;
  queue_->submit("fill", to.bytes,
                 [&](Encoding& encoding) { encoding.fill(mtl_buffer(*to.buffer), to.offset, to.bytes, value); });
}

void MetalStream::record(Event& event) {
  auto& marked = static_cast<MetalEvent&>(event);
  marked.set(queue_->mark(marked.is_timed()));
}

void MetalStream::wait(Event& event) {
  const MetalQueue::Mark mark = static_cast<const MetalEvent&>(event).mark();
  // A stream is behind its own marks by itself. Waits cannot form a ring: a mark lies behind earlier work only.
  if (mark.queue == nullptr || mark.queue == queue_ || mark.queue->reached(mark.ticket)) return;
  queue_->wait_for(mark);
}

void MetalStream::add_callback(std::function<void()> callback) { queue_->add_callback(std::move(callback)); }

uint64_t MetalStream::submitted() const { return queue_->last(); }

uint64_t MetalStream::completed() const { return queue_->completed(); }

bool MetalStream::query() const { return queue_->reached(queue_->last()); }

void MetalStream::drain() { queue_->wait(queue_->last()); }

void MetalStream::synchronize() {
  const Ticket last = queue_->last();
  queue_->wait(last);
  queue_->rethrow(last);
}

}  // namespace mps
