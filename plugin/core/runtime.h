// The process's devices, opened once: each with its memory, its compiled graphs and its streams.
// Everything above the seam that needs a device asks here.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugin/core/cache.h"
#include "plugin/core/device.h"
#include "plugin/core/memory.h"

namespace mps {

class DeviceState {
 public:
  // `figures`: where to count; null: where nobody else sees it.
  DeviceState(int index, std::unique_ptr<Device> device, Figures* figures = nullptr);
  ~DeviceState();  // waits for its streams

  int index() const { return index_; }
  Device& device() { return *device_; }
  Memory& memory() { return memory_; }
  Cache& cache() { return cache_; }
  Figures& figures() { return figures_; }

  // Streams live until destroy_stream or the end of the process.
  Stream* create_stream();
  void destroy_stream(Stream* stream);
  // To be told of every op: the stream that it runs on.
  void note_stream_of_op(const Stream& stream) {
    if (op_stream_.load(std::memory_order_relaxed) != &stream) note_another_stream(stream);
  }
  // Whether ops have run on other streams than the one that the first op ran on.
  bool computes_on_several_streams() const { return several_streams_.load(std::memory_order_relaxed); }
  // Waits for every stream; throws the first error kept by one of them, after all have been waited
  // for.
  void synchronize();
  // Waits for every stream; errors stay with their streams for the next synchronize().
  void drain();

 private:
  void note_another_stream(const Stream& stream);
  std::vector<std::shared_ptr<Stream>> streams();  // a copy, so that no lock is held while waiting

  const int index_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<Figures> own_figures_;
  Figures& figures_;
  Cache cache_;
  std::mutex streams_mutex_;
  std::atomic<const Stream*> op_stream_{nullptr};
  std::atomic<bool> several_streams_{false};
  std::vector<std::shared_ptr<Stream>> streams_;
  Memory memory_;
};

// Where the figures of a device go, of `count` devices; null: where nobody else sees them.
using FiguresPlace = Figures* (*)(int index, int count, const Device& device);

class Runtime {
 public:
  // Opens the devices of the chosen backend (PADDLE_MPS_BACKEND, else the first of the list).
  // Called once, before any other use; never throws: without a usable device there are none, and a
  // reason.
  static void open(Span<const Backend* const> backends, FiguresPlace place = nullptr) noexcept;
  // The devices; none before open().
  static int device_count();
  // Throws kArgument for an index that does not exist.
  static DeviceState& device(int index);
  // Why there is no device; empty if there is one.
  static const std::string& unavailable_reason();
};

}  // namespace mps
