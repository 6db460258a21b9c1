// Device memory: allocate, free, and find the buffer behind any address.
//
// Memory comes from the device in heaps ("arenas"), each cut into blocks by a buddy allocator, and each block owns one
// Buffer at its offset. A block's address is its buffer's contents: addresses are real, arithmetic on them is fine, and
// an interior address is resolved in O(log n).
//
// Arenas are of three classes, by the size of the request:
//   small   up to 512 KiB   shared arenas in units of 256 bytes (or the device's alignment, if larger)
//   medium  up to 64 MiB    shared arenas in units of 16 KiB
//   large   above           an arena of its own, kept for the next request of nearly that size
// Shared arenas start at 32 MiB and grow with what is in use, up to 256 MiB, so that a small program stays small and a
// large one has few heaps.
//
// Thread-safe. A block freed while work is queued is not handed out before that work is done: `drain`, given by the
// owner, is called for that, with no lock held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "plugin/core/device.h"
#include "plugin/core/external.h"

namespace mps {

struct MemoryStats {
  uint64_t requested = 0;  // bytes asked for by the blocks handed out
  uint64_t allocated = 0;  // bytes of those blocks
  uint64_t reserved = 0;   // bytes of arenas
  uint64_t peak_requested = 0;
  uint64_t peak_allocated = 0;
  uint64_t peak_reserved = 0;
  uint64_t blocks = 0;
  uint64_t heaps = 0;
  uint64_t limit = 0;
  uint64_t largest_free_block = 0;
};

class Memory {
 public:
  // `limit`: most bytes of arenas, 0 for the device's recommendation.
  Memory(Device& device, uint64_t limit, std::function<void()> drain);
  ~Memory();

  // Null when there is no room (the caller reports it). For 0 bytes it gives the smallest block.
  void* allocate(size_t bytes);
  // Throws kArgument if `address` does not start a block.
  void free(void* address);
  // The buffer and offset of `bytes` bytes at `address`. Throws kArgument when they are not inside one block or adopted
  // range.
  Range resolve(const void* address, size_t bytes) const;
  // Whether the address lies in one of the heaps.
  bool owns(const void* address) const;
  // Lets the device work in memory of the program, see external.h. False if it is the device's own: then there is
  // nothing to release.
  bool adopt(void* address, size_t bytes);
  // Undoes one adopt() that was true, after waiting for queued work.
  void release(const void* address);
  const External& external() const { return external_; }
  // Gives arenas without blocks back to the system; returns the bytes given back.
  uint64_t release_unused();

  MemoryStats stats() const;
  void reset_peaks();

 private:
  class Arena;
  enum class SizeClass { kSmall, kMedium, kLarge };

  static SizeClass class_of(size_t bytes);
  void* allocate_locked(SizeClass size_class, size_t bytes);
  bool add_arena(SizeClass size_class, size_t bytes);
  Arena* arena_of(uintptr_t address) const;
  uint64_t release_unused_locked();

  Device& device_;
  const uint64_t limit_;
  const std::function<void()> drain_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> arenas_;  // by address
  mutable Arena* last_resolved_ = nullptr;      // consecutive look-ups mostly hit one arena
  MemoryStats stats_;
  External external_;
};

}  // namespace mps
