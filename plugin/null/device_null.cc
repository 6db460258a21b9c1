#include "plugin/null/device_null.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "plugin/core/check.h"
#include "plugin/core/log.h"

namespace mps {
namespace {

constexpr size_t kAlignment = 256;

class NullBuffer final : public Buffer {
 public:
  NullBuffer(char* address, size_t bytes) : address_(address), bytes_(bytes) {}
  void* contents() const override { return address_; }
  size_t bytes() const override { return bytes_; }

 private:
  char* const address_;
  const size_t bytes_;
};

class NullHeap final : public Heap {
 public:
  NullHeap(char* base, size_t bytes, std::shared_ptr<std::atomic<uint64_t>> allocated)
      : base_(base), bytes_(bytes), allocated_(std::move(allocated)) {
    allocated_->fetch_add(bytes_);
  }
  ~NullHeap() override {
    ::operator delete(base_, std::align_val_t{kAlignment});
    allocated_->fetch_sub(bytes_);
  }
  size_t bytes() const override { return bytes_; }
  std::unique_ptr<Buffer> new_buffer(size_t offset, size_t bytes) override {
    return std::make_unique<NullBuffer>(base_ + offset, bytes);
  }

 private:
  char* const base_;
  const size_t bytes_;
  const std::shared_ptr<std::atomic<uint64_t>> allocated_;
};

class NullExecutable final : public Executable {
 public:
  size_t bytes() const override { return sizeof *this; }
};

// What a stream remembers: how much was submitted, and its first failure.
struct Track {
  std::mutex mutex;
  uint64_t submitted = 0;
  uint64_t failed = 0;
  std::exception_ptr failure;

  // Throws the kept failure if it happened at or before this point.
  void rethrow(uint64_t point) {
    std::exception_ptr thrown;
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (failure == nullptr || failed > point) return;
      thrown = std::exchange(failure, nullptr);
    }
    std::rethrow_exception(thrown);
  }
  uint64_t last() {
    std::lock_guard<std::mutex> lock(mutex);
    return submitted;
  }
};

class NullEvent final : public Event {
 public:
  bool query() const override { return true; }
  void synchronize() override {
    std::shared_ptr<Track> track;
    uint64_t point;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      track = track_;
      point = point_;
    }
    if (track != nullptr) track->rethrow(point);
  }
  void enable_timing() override {
    std::lock_guard<std::mutex> lock(mutex_);
    timed_ = true;
  }
  std::optional<double> reached_at() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return moment_;
  }
  void set(std::shared_ptr<Track> track) {
    const uint64_t point = track->last();
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    std::lock_guard<std::mutex> lock(mutex_);
    track_ = std::move(track);
    point_ = point;
    moment_ = timed_ ? std::optional<double>(now.count()) : std::nullopt;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Track> track_;
  uint64_t point_ = 0;
  bool timed_ = false;
  std::optional<double> moment_;
};

class NullStream final : public Stream {
 public:
  explicit NullStream(std::shared_ptr<NullCalls> calls) : calls_(std::move(calls)), track_(std::make_shared<Track>()) {}
  ~NullStream() override {
    try {
      track_->rethrow(track_->last());
    } catch (const std::exception& error) {
      MPS_LOG(kError, "a stream was destroyed with an error nobody has waited for: ", error.what());
    }
  }

  void encode(const std::shared_ptr<const Executable>&, Span<const Binding>, Span<const Binding>,
              const char* op) override {
    submit(NullCall::kEncode, op);
  }
  void copy(const Range& to, const Range& from) override {
    if (submit(NullCall::kCopy, "copy") && to.bytes != 0) std::memmove(to.address(), from.address(), to.bytes);
  }
  void upload(const Range& to, const void* from) override {
    if (submit(NullCall::kUpload, "upload") && to.bytes != 0) std::memcpy(to.address(), from, to.bytes);
  }
  void download(void* to, const Range& from) override {
    if (submit(NullCall::kDownload, "download") && from.bytes != 0) std::memcpy(to, from.address(), from.bytes);
  }
  void fill(const Range& to, uint8_t value) override {
    if (submit(NullCall::kFill, "fill") && to.bytes != 0) std::memset(to.address(), value, to.bytes);
  }
  void record(Event& event) override {
    calls_->made(NullCall::kRecord);
    static_cast<NullEvent&>(event).set(track_);
  }
  void wait(Event&) override { calls_->made(NullCall::kWait); }
  void add_callback(std::function<void()> callback) override { callback(); }
  uint64_t submitted() const override { return track_->last(); }
  uint64_t completed() const override { return track_->last(); }
  bool query() const override { return true; }
  void drain() override {}
  void synchronize() override {
    if (calls_->made(NullCall::kSynchronize)) {
      MPS_THROW(kDevice, "the null device was told to fail this synchronize.");
    }
    track_->rethrow(track_->last());
  }

 private:
  // False if the work failed.
  bool submit(NullCall call, const char* op) {
    const bool fails = calls_->made(call);
    std::lock_guard<std::mutex> lock(track_->mutex);
    ++track_->submitted;
    if (!fails) return true;
    if (track_->failure != nullptr) return false;
    OpScope scope(op);
    try {
      MPS_THROW(kDevice, "the null device was told to fail this work.");
    } catch (const Error&) {
      track_->failure = std::current_exception();
      track_->failed = track_->submitted;
    }
    return false;
  }

  const std::shared_ptr<NullCalls> calls_;
  const std::shared_ptr<Track> track_;
};

std::vector<std::unique_ptr<Device>> open(std::string*) {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<NullDevice>());
  return devices;
}

}  // namespace

const Backend kNullBackend = {"null", open};

uint64_t NullCalls::count(NullCall call) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return counts_[static_cast<size_t>(call)];
}

void NullCalls::fail(NullCall call, uint64_t nth) {
  std::lock_guard<std::mutex> lock(mutex_);
  fails_at_[static_cast<size_t>(call)] = counts_[static_cast<size_t>(call)] + nth;
}

bool NullCalls::made(NullCall call) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t i = static_cast<size_t>(call);
  return ++counts_[i] == fails_at_[i];
}

NullDevice::NullDevice()
    : calls_(std::make_shared<NullCalls>()), allocated_(std::make_shared<std::atomic<uint64_t>>(0)) {
  properties_.name = "null";
  properties_.backend = "null";
  properties_.architecture = "none";
  properties_.total_memory = uint64_t{4} << 30;
  properties_.recommended_memory = properties_.total_memory;
  properties_.max_buffer_bytes = properties_.total_memory;
  properties_.alignment = kAlignment;
  properties_.core_count = 1;
}

uint64_t NullDevice::driver_allocated_bytes() const { return allocated_->load(); }

std::unique_ptr<Heap> NullDevice::new_heap(size_t bytes) {
  if (calls_->made(NullCall::kNewHeap)) return nullptr;
  void* const base = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (base == nullptr) return nullptr;
  return std::make_unique<NullHeap>(static_cast<char*>(base), bytes, allocated_);
}

std::unique_ptr<Buffer> NullDevice::wrap(void* address, size_t bytes) {
  if (calls_->made(NullCall::kWrap)) return nullptr;
  return std::make_unique<NullBuffer>(static_cast<char*>(address), bytes);
}

std::unique_ptr<Stream> NullDevice::new_stream() { return std::make_unique<NullStream>(calls_); }

std::unique_ptr<Event> NullDevice::new_event() { return std::make_unique<NullEvent>(); }

std::string NullDevice::supports(const Graph&) const { return {}; }

std::shared_ptr<const Executable> NullDevice::compile(const Graph&) {
  if (calls_->made(NullCall::kCompile)) MPS_THROW(kDevice, "the null device was told to fail this compilation.");
  return std::make_shared<NullExecutable>();
}

}  // namespace mps
