// Device memory: allocate, free, and find the buffer behind any address.
//
// Heaps come from the device; blocks are ranges of heaps, each with a Buffer of its own, kept in
// address order so that an interior address is resolved in O(log n). Freed neighbours merge.
// Addresses are real: a block's address is its buffer's contents, and arithmetic on it is fine.
//
// Thread-safe. A block freed while work is queued is not handed out before that work is done:
// `drain`, given by the owner, is called for that, with no lock held.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "plugin/core/device.h"

namespace mps {

struct MemoryStats {
  uint64_t allocated = 0;  // bytes in blocks handed out
  uint64_t reserved = 0;   // bytes in heaps
  uint64_t peak_allocated = 0;
  uint64_t peak_reserved = 0;
  uint64_t blocks = 0;
  uint64_t heaps = 0;
  uint64_t limit = 0;
  uint64_t largest_free_block = 0;
};

class Memory {
 public:
  // `limit`: most bytes of heaps, 0 for the device's recommendation.
  Memory(Device& device, uint64_t limit, std::function<void()> drain);
  ~Memory();

  // Null when there is no room (the caller reports it); never for bytes == 0, which gets the
  // smallest block.
  void* allocate(size_t bytes);
  // Throws kArgument if `address` does not start a block.
  void free(void* address);
  // The buffer and offset of `bytes` bytes at `address`. Throws kArgument when they are not inside
  // one block.
  Range resolve(const void* address, size_t bytes) const;
  // Gives heaps without blocks back to the system; returns the bytes given back.
  uint64_t release_unused();

  MemoryStats stats() const;
  void reset_peaks();

 private:
  struct Arena;
  struct Block {
    Arena* arena;
    size_t bytes;
    std::unique_ptr<Buffer> buffer;  // null while the block is free
  };
  using Blocks = std::map<uintptr_t, Block>;

  Blocks::iterator find_free(size_t bytes);
  bool add_arena(size_t bytes);
  void* take(Blocks::iterator block, size_t bytes);
  Blocks::iterator merge(Blocks::iterator block);
  uint64_t release_unused_locked();

  Device& device_;
  const uint64_t limit_;
  const std::function<void()> drain_;
  mutable std::mutex mutex_;
  std::map<Arena*, std::unique_ptr<Arena>> arenas_;
  Blocks blocks_;  // every byte of every arena, free or handed out, by address
  MemoryStats stats_;
};

}  // namespace mps
