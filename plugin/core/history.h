// What happened to a device's memory: the last events, while recording is on. Guarded by its owner's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mps {

struct MemoryEvent {
  enum class Kind : uint8_t {
    kAllocate,
    kFree,
    kReserve,      // an arena was taken from the system
    kRelease,      // and given back
    kOutOfMemory,  // an allocation found no room
  };

  Kind kind = Kind::kAllocate;
  uint32_t slot = 0;         // number of the stream
  const char* op = nullptr;  // what was running
  uint64_t number = 0;       // counted since recording began
  int64_t time_ns = 0;       // since 1970
  uint64_t address = 0;
  uint64_t bytes = 0;        // asked for
  uint64_t block_bytes = 0;  // taken for it
  uint64_t stack = 0;        // what the hook answered
};

class History {
 public:
  // Says where the program is, as a number that only the hook's owner understands.
  using StackHook = uint64_t (*)();

  // Forgets what was recorded before. At most `capacity` events are kept, the last ones.
  void start(size_t capacity);
  void stop() { on_ = false; }
  bool is_on() const { return on_; }

  void add(MemoryEvent event);

  // Calls visit(event) for every event that is kept, oldest first.
  template <typename F>
  void for_each(F&& visit) const {
    const bool is_ring = capacity_ != 0 && events_.size() == capacity_;
    const size_t oldest = is_ring ? static_cast<size_t>(count_ % capacity_) : 0;
    for (size_t i = 0; i < events_.size(); ++i) visit(events_[(oldest + i) % events_.size()]);
  }

 private:
  bool on_ = false;
  size_t capacity_ = 0;
  uint64_t count_ = 0;
  std::vector<MemoryEvent> events_;  // a ring once it is full
};

}  // namespace mps
