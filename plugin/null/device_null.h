// A device that computes nothing: everything else is real. Memory is memory and copies copy, but an encoded executable
// is done the moment it is encoded, and results keep whatever they held.
//
// It measures what a launch costs above the device (PADDLE_MPS_BACKEND=null), it counts what is asked of it, and it
// fails on demand, for tests of what happens then. Any thread may call anything.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "plugin/core/device.h"

namespace mps {

extern const Backend kNullBackend;

enum class NullCall {
  kNewHeap,
  kWrap,
  kCompile,
  kEncode,
  kCopy,
  kUpload,
  kDownload,
  kFill,
  kRecord,
  kWait,
  kSynchronize
};

class NullCalls {
 public:
  static constexpr size_t kKinds = static_cast<size_t>(NullCall::kSynchronize) + 1;

  uint64_t count(NullCall call) const;
  // Lets the `nth` call from now fail, counted from 1: new_heap() has no memory, wrap() is refused, compile() throws,
  // work that is encoded, copied or filled fails when it runs, synchronize() throws.
  void fail(NullCall call, uint64_t nth = 1);

  // Counts a call; true if it is to fail.
  bool made(NullCall call);

 private:
  mutable std::mutex mutex_;
  std::array<uint64_t, kKinds> counts_{};
  std::array<uint64_t, kKinds> fails_at_{};  // 0: not
};

class NullDevice final : public Device {
 public:
  NullDevice();

  const DeviceProperties& properties() const override { return properties_; }
  uint64_t driver_allocated_bytes() const override;
  std::unique_ptr<Heap> new_heap(size_t bytes) override;
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override;
  std::unique_ptr<Stream> new_stream() override;
  std::unique_ptr<Event> new_event() override;
  std::string supports(const Graph& graph) const override;
  std::shared_ptr<const Executable> compile(const Graph& graph) override;

  NullCalls& calls() { return *calls_; }

 private:
  DeviceProperties properties_;
  const std::shared_ptr<NullCalls> calls_;  // shared with the streams
  const std::shared_ptr<std::atomic<uint64_t>> allocated_;
};

}  // namespace mps
