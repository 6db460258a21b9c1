// A buddy allocator over the units 0 .. 2^order - 1 of one arena. It knows numbers only: what a unit is, and where, is
// its owner's affair. Not thread-safe.
//
// Free space is kept as pieces: aligned runs of 2^k units, one free list per k. Allocating splits a piece in halves
// until it just holds the request; freeing merges a piece with its buddy as long as that is free too. Both take
// O(order) steps and no memory.
//
// Blocks need not be powers of two. A block of n units starts a piece of the next power of two, and the tail that it
// does not need goes straight back to the free lists. So it costs n units, not up to 2n, and consists of one piece per
// bit of n, largest first.
#pragma once

#include <cstdint>
#include <memory>

namespace mps {

class Buddy {
 public:
  static constexpr int kMaxOrder = 30;
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Block {
    uint32_t start;
    uint32_t units;
  };

  explicit Buddy(int order);

  // The first unit of a new block, or kNone if no piece is large enough. `units` is at least 1.
  uint32_t allocate(uint32_t units);
  // Frees the block that starts here; its size. `start` must be what allocate() returned.
  uint32_t free(uint32_t start);
  // The allocated block that contains the unit; start == kNone if the unit is free.
  Block find(uint32_t unit) const;

  uint32_t total_units() const { return uint32_t{1} << order_; }
  uint32_t used_units() const { return used_; }
  uint32_t largest_free_piece() const;

  // Calls visit(start, units, is_allocated) for every block and free piece, in order.
  template <typename F>
  void for_each(F&& visit) const {
    for (uint32_t unit = 0; unit < total_units();) {
      const bool allocated = kinds_[unit] == Kind::kHead;
      const uint32_t units = allocated ? link_[unit].length : uint32_t{1} << orders_[unit];
      visit(unit, units, allocated);
      unit += units;
    }
  }

 private:
  enum class Kind : uint8_t { kInside, kFree, kHead, kContinuation };
  union Link {
    struct {
      uint32_t next, previous;  // kFree: neighbours in the free list
    };
    uint32_t length;  // kHead: units of the block
    uint32_t head;    // kContinuation: where the block starts
  };

  void push(uint32_t piece, int order);
  void remove(uint32_t piece);
  void release_piece(uint32_t piece, int order);

  const int order_;
  uint32_t used_ = 0;
  uint32_t nonempty_ = 0;  // bit k: the list of pieces of 2^k units is not empty
  uint32_t lists_[kMaxOrder + 1];
  // Per unit; meaningful where a piece starts. Links are not initialised, so that their pages are taken only when used.
  std::unique_ptr<Kind[]> kinds_;
  std::unique_ptr<uint8_t[]> orders_;
  std::unique_ptr<Link[]> link_;
};

}  // namespace mps
