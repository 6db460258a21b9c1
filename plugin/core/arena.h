// One heap of the device, cut into blocks: small ones by a buddy allocator, large ones in runs of pages. Each block
// owns one Buffer at its offset. Not thread-safe.
//
// The two differ in what they are good at. A buddy allocator takes a few nanoseconds whatever the number of blocks, and
// what it loses between powers of two hardly counts among small blocks. Among large ones it does: on recorded trainings
// a buddy allocator needed 1.2 to 1.4 times the bytes that were asked for, best-fit runs 1.03 to 1.05.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "plugin/core/buddy.h"
#include "plugin/core/device.h"
#include "plugin/core/runs.h"

namespace mps {

// A block, kept for the unit where it starts.
struct Block {
  static constexpr uint32_t kIdle = UINT32_MAX, kWaiting = UINT32_MAX - 1;

  Buffer* buffer = nullptr;  // owned; null where no block starts
  uint64_t users = 0;        // streams other than its own that have used it, a bit each
  uint32_t slack = kIdle;    // bytes that nobody asked for; kIdle: kept to be used again; kWaiting: for other streams
  uint32_t units = 0;

  bool in_use() const { return slack < kWaiting; }
};

class Arena {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // `slot` names the stream whose blocks lie here. Small arenas have a power of two of units.
  Arena(bool is_small, uint64_t number, uint32_t slot, std::unique_ptr<Heap> heap, size_t unit_bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  bool is_small() const { return is_small_; }
  uint64_t number() const { return number_; }  // arenas that were made later have higher ones
  uint32_t slot() const { return slot_; }
  uintptr_t base() const { return base_; }
  size_t bytes() const { return heap_->bytes(); }
  size_t unit_bytes() const { return unit_bytes_; }
  uint32_t units_of(size_t bytes) const { return static_cast<uint32_t>((bytes + unit_bytes_ - 1) / unit_bytes_); }
  bool contains(uintptr_t address) const { return address - base_ < total_units_ * unit_bytes_; }
  uintptr_t address_of(uint32_t unit) const { return base_ + unit * unit_bytes_; }
  uint32_t unit_of(uintptr_t address) const { return static_cast<uint32_t>((address - base_) / unit_bytes_); }
  bool is_whole_unit(uintptr_t address) const { return (address - base_) % unit_bytes_ == 0; }

  // No block is cut, in use or idle.
  bool empty() const { return is_small_ ? buddy_->used_units() == 0 : runs_->used_pages() == 0; }
  uint32_t largest_free_piece() const { return buddy_->largest_free_piece(); }  // of a small arena

  // Cuts a block off, with its Buffer: for small arenas its unit or kNone; for large ones from the start of that free
  // run, of which the rest is returned.
  uint32_t cut_small(uint32_t units);
  Runs::Run cut_large(uint32_t start, uint32_t pages);
  // Gives a block back to the free space.
  void join_small(uint32_t unit);
  Runs::Freed join_large(uint32_t page);

  Block& block(uint32_t unit) { return blocks_[unit]; }
  const Block& block(uint32_t unit) const { return blocks_[unit]; }
  // Where the block that holds this unit starts, or kNone.
  uint32_t find(uint32_t unit) const;

  // Calls visit(unit, units, block or null) for every block and free piece, in order.
  template <typename F>
  void for_each(F&& visit) const {
    const auto each = [&](uint32_t unit, uint32_t units, bool is_block) {
      visit(unit, units, is_block ? &blocks_[unit] : nullptr);
    };
    is_small_ ? buddy_->for_each(each) : runs_->for_each(each);
  }

  // The stream's progress when a block was last given back: until it gets there, queued work may use this heap.
  uint64_t quiet_at = 0;

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  void open(uint32_t unit, uint32_t units);
  void close(uint32_t unit);

  const bool is_small_;
  const uint64_t number_;
  const uint32_t slot_;
  const std::unique_ptr<Heap> heap_;
  const size_t unit_bytes_;
  const uint32_t total_units_;
  std::unique_ptr<Buddy> buddy_;
  std::unique_ptr<Runs> runs_;
  std::unique_ptr<Block[], Free> blocks_;  // by unit; calloc's, so that its pages cost nothing until they are used
  uintptr_t base_;
};

}  // namespace mps
