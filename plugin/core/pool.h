// The arenas of one stream, and the idle memory in them. Not thread-safe: Memory's lock guards it.
//
// What is freed may be used again at once by later work of the same stream, which runs after whatever used it before.
// That is why streams do not share arenas.
//
// Small blocks that are freed are kept whole, with their Buffer, by size: a program asks for the same sizes again and
// again, and then finds them in a few nanoseconds. They join the free space around them only when no block fits, before
// another arena is made. Large blocks join it at once: for them it is space that counts.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "plugin/core/arena.h"

namespace mps {

// A block, by where it starts.
struct Place {
  Arena* arena = nullptr;  // null: none
  uint32_t unit = 0;
  explicit operator bool() const { return arena != nullptr; }
  Block& block() const { return arena->block(unit); }
  size_t bytes() const { return block().units * arena->unit_bytes(); }
  uintptr_t address() const { return arena->address_of(unit); }
};

class Pool {
 public:
  // `free_space_changed` is set when largest_free_bytes() may have changed. Blocks of up to `most_small` bytes are
  // small.
  Pool(bool* free_space_changed, size_t most_small)
      : free_space_changed_(free_space_changed), most_small_(most_small) {}

  bool is_small(size_t bytes) const { return bytes <= most_small_; }

  // A block for as many bytes, taken from idle memory; none if there is no room.
  Place take(size_t bytes);
  // A block whose users are done with it.
  void put(Place place);
  // Lets kept small blocks join the free space around them; whether there were any.
  bool join();

  void add(Arena* arena);
  void remove(Arena* arena);                             // an empty one
  uint64_t small_bytes() const { return small_bytes_; }  // of arenas
  size_t largest_free_bytes() const;                     // of free space, so without what is kept

 private:
  struct FreeRun {
    uint32_t pages;
    uint64_t number;  // of the arena: old ones are filled first, so that young ones become empty
    uint32_t start;
    Arena* arena;
    friend bool operator<(const FreeRun& a, const FreeRun& b) {
      if (a.pages != b.pages) return a.pages < b.pages;
      return a.number != b.number ? a.number < b.number : a.start < b.start;
    }
  };
  static FreeRun free_run(Arena* arena, Runs::Run run) { return {run.pages, arena->number(), run.start, arena}; }

  Place take_small(size_t bytes);
  Place take_large(size_t bytes);

  bool* const free_space_changed_;
  const size_t most_small_;
  std::vector<Arena*> small_arenas_;
  std::vector<std::vector<Place>> kept_;  // by units
  std::set<FreeRun> free_runs_;
  uint64_t small_bytes_ = 0;
};

}  // namespace mps
