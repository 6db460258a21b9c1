// A best-fit allocator over the pages 0 .. pages - 1 of one arena, for large blocks. Like Buddy it knows numbers only:
// what a page is, and where, is its owner's affair. Not thread-safe.
//
// The pages are divided into runs: blocks, and free runs between them. The length of a run stands at its first page; a
// free run's start stands at its last page too. So freeing a block merges it with both neighbours at once, and no two
// free runs ever touch. Which free run a block is taken from is for the caller to say: it knows the free runs of many
// arenas and picks the one that fits best.
#pragma once

#include <cstdint>
#include <memory>

namespace mps {

class Runs {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Run {
    uint32_t start = 0;
    uint32_t pages = 0;  // 0: no run
  };
  struct Freed {
    Run block;
    Run before, after;  // free runs that it touched, and that are now part of
    Run merged;         // this one
  };

  explicit Runs(uint32_t pages);

  // Makes a block of the first pages of the free run that starts here; what is left of the run, still free.
  Run take(uint32_t start, uint32_t pages);
  // `start` must be what take() was given for a block that still is one.
  Freed free(uint32_t start);
  // The block that holds the page; no pages if it is free.
  Run find(uint32_t page) const;

  uint32_t total_pages() const { return pages_; }
  uint32_t used_pages() const { return used_; }

  // Calls visit(start, pages, is_block) for every run, in order.
  template <typename F>
  void for_each(F&& visit) const {
    for (uint32_t page = 0; page < pages_; page += length_[page]) visit(page, length_[page], !is_free(page));
  }

 private:
  bool is_free(uint32_t page) const { return (free_[page / 64] >> page % 64 & 1) != 0; }
  void begin_run(Run run, bool free);
  void end_run(uint32_t start);

  const uint32_t pages_;
  uint32_t used_ = 0;
  std::unique_ptr<uint32_t[]> length_;    // at the first page of a run
  std::unique_ptr<uint32_t[]> start_of_;  // at the last page of a free run
  std::unique_ptr<uint64_t[]> starts_;    // a bit per page: a run starts here
  std::unique_ptr<uint64_t[]> free_;      // a bit per page: the run that starts here is free
};

}  // namespace mps
