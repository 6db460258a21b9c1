// Faults on demand, for tests of what happens then: a device around another one that counts what is asked of it, passes
// everything on, and lets the nth call of a kind fail. It sees the seam only, so every backend fails in the same way,
// and no backend has code for it.
//
// Which calls, in words: "encode:3" is the third executable from now, "heap:2+" every heap from the second on,
// "compile:1,lose:20" two faults, "none" no fault. PADDLE_MPS_FAULT puts this device around every other when it is set.
//
// A lost device refuses work, heaps and compilations with kDevice. Its memory can still be read, written and freed, and
// waits return.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "plugin/core/device.h"

namespace mps {

enum class Fault {
#define MPS_FAULT(kind, effect) kind,
#include "plugin/core/fault.def"
#undef MPS_FAULT
};

// The kind of this name. Throws kArgument if there is none.
Fault fault_of(const std::string& name);

// What was asked of a device, and what is to fail. Any thread may call anything.
class Faults {
 public:
  uint64_t count(Fault fault) const;
  // Lets the `first` call from now fail, counted from 1, and `times` - 1 after it.
  void fail(Fault fault, uint64_t first = 1, uint64_t times = 1);
  // The same in words; they replace what was to fail, so "none" lets nothing fail any more. Throws kArgument.
  void fail(const std::string& words);
  bool lost() const;

  // Counts a call; the number of the call if it is to fail, else 0. Losing a device is a call of every piece of work.
  uint64_t made(Fault fault);

 private:
  struct Calls {
    uint64_t count = 0;
    uint64_t first = 0, last = 0;  // numbers of those that fail; calls are counted from 1
  };

  mutable std::mutex mutex_;
  std::array<Calls, static_cast<size_t>(Fault::lose) + 1> calls_;
  bool lost_ = false;
};

class FaultDevice final : public Device {
 public:
  explicit FaultDevice(std::unique_ptr<Device> device, const std::string& words = "none");

  const DeviceProperties& properties() const override { return device_->properties(); }
  uint64_t driver_allocated_bytes() const override { return device_->driver_allocated_bytes(); }
  std::unique_ptr<Heap> new_heap(size_t bytes) override;
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override;
  std::unique_ptr<Stream> new_stream() override;
  std::unique_ptr<Event> new_event() override;
  std::string supports(const Graph& graph) const override { return device_->supports(graph); }
  std::shared_ptr<const Executable> compile(const Graph& graph) override;
  void on_memory_pressure(std::function<void()> handler) override { device_->on_memory_pressure(std::move(handler)); }
  std::string kept_graphs_folder() const override { return device_->kept_graphs_folder(); }
  bool clear_kept_graphs() override { return device_->clear_kept_graphs(); }

  Faults& faults() { return *faults_; }

 private:
  const std::unique_ptr<Device> device_;
  const std::shared_ptr<Faults> faults_;  // shared with streams and events
};

// The device itself, or a FaultDevice around it if PADDLE_MPS_FAULT is set. Throws kArgument if that cannot be read.
std::unique_ptr<Device> with_faults(std::unique_ptr<Device> device);

}  // namespace mps
