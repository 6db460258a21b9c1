#include "plugin/null/device_null.h"

#include <chrono>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

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

class NullEvent final : public Event {
 public:
  bool query() const override { return true; }
  void drain() override {}
  void synchronize() override {}
  void enable_timing() override { timed_ = true; }
  std::optional<double> reached_at() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return moment_;
  }
  void set() {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    std::lock_guard<std::mutex> lock(mutex_);
    moment_ = timed_ ? std::optional<double>(now.count()) : std::nullopt;
  }

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> timed_{false};
  std::optional<double> moment_;
};

class NullStream final : public Stream {
 public:
  void encode(const std::shared_ptr<const Executable>&, Span<const Binding>, Span<const Binding>,
              const char*) override {
    ++submitted_;
  }
  void copy(const Range& to, const Range& from) override {
    ++submitted_;
    if (to.bytes != 0) std::memmove(to.address(), from.address(), to.bytes);
  }
  void upload(const Range& to, const void* from) override {
    ++submitted_;
    if (to.bytes != 0) std::memcpy(to.address(), from, to.bytes);
  }
  void download(void* to, const Range& from) override {
    ++submitted_;
    if (from.bytes != 0) std::memcpy(to, from.address(), from.bytes);
  }
  void fill(const Range& to, uint8_t value) override {
    ++submitted_;
    if (to.bytes != 0) std::memset(to.address(), value, to.bytes);
  }
  void record(Event& event) override { static_cast<NullEvent&>(event).set(); }
  void wait(Event&) override {}
  void add_callback(std::function<void()> callback) override { callback(); }
  uint64_t submitted() const override { return submitted_; }
  uint64_t completed() const override { return submitted_; }
  bool query() const override { return true; }
  void drain() override {}
  void synchronize() override {}

 private:
  std::atomic<uint64_t> submitted_{0};
};

std::vector<std::unique_ptr<Device>> open(std::string*) {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<NullDevice>());
  return devices;
}

}  // namespace

const Backend kNullBackend = {"null", open};

NullDevice::NullDevice() : allocated_(std::make_shared<std::atomic<uint64_t>>(0)) {
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
  void* const base = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (base == nullptr) return nullptr;
  return std::make_unique<NullHeap>(static_cast<char*>(base), bytes, allocated_);
}

std::unique_ptr<Buffer> NullDevice::wrap(void* address, size_t bytes) {
  return std::make_unique<NullBuffer>(static_cast<char*>(address), bytes);
}

std::unique_ptr<Stream> NullDevice::new_stream() { return std::make_unique<NullStream>(); }

std::unique_ptr<Event> NullDevice::new_event() { return std::make_unique<NullEvent>(); }

std::string NullDevice::supports(const Graph&) const { return {}; }

std::shared_ptr<const Executable> NullDevice::compile(const Graph&) { return std::make_shared<NullExecutable>(); }

}  // namespace mps
