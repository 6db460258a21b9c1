// Device memory: allocate, free, and find the buffer behind any address.
//
// Memory comes from the device in heaps ("arenas"), each cut into blocks (arena.h), and each block owns one Buffer at
// its offset. A block's address is its buffer's contents: addresses are real, arithmetic on them is fine, and an
// interior address is resolved in O(log n).
//
// Reuse is ordered by streams. A block belongs to the stream that it was allocated for. When it is freed, later work of
// that stream may use it at once; if other streams have used it too, it waits until they have done what they had been
// given by then. Nobody has to say which streams use a block: resolve() notes it. The host may write to a fresh block
// only after the device is done with what it was given: whoever does so waits first.
//
// Limits. Arenas are taken as they are needed, at most `limit` bytes of them. Before the process holds more than it
// ever did, arenas without blocks are given back. Where there is no room: everything queued is waited for, with no lock
// held, arenas without blocks are given back, and it is tried once more. Then allocate() gives null, and nothing is
// lost.
//
// Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugin/core/device.h"
#include "plugin/core/external.h"
#include "plugin/core/figures.h"
#include "plugin/core/history.h"
#include "plugin/core/pool.h"

namespace mps {

class Memory {
 public:
  struct Allocation {
    void* address = nullptr;  // null: there is no room
    size_t bytes = 0;         // of the block
  };

  // `limit`: most bytes of arenas, 0 for the device's recommendation. `drain` waits for all work of the device.
  // `figures`: where to count; null: where nobody else sees it.
  Memory(Device& device, uint64_t limit, std::function<void()> drain, Figures* figures = nullptr);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Streams that allocate and use memory. remove_stream() comes when all work of the stream is done.
  void add_stream(Stream* stream);
  void remove_stream(Stream* stream);

  // A block for the work of this stream, or, without one, of the first stream. For 0 bytes the smallest block.
  Allocation allocate(size_t bytes, const Stream* stream = nullptr);
  // Throws kArgument if `address` does not start a block. Waits for nothing.
  void free(void* address);
  // The buffer and offset of `bytes` bytes at `address`; notes that the stream uses them from now on. Throws kArgument
  // when they are not inside one block or adopted range.
  Range resolve(const void* address, size_t bytes, const Stream* stream = nullptr);
  // Lets the device work in memory of the program, see external.h. False if it is the device's own: then there is
  // nothing to release.
  bool adopt(void* address, size_t bytes);
  // Undoes one adopt() that was true, after waiting for queued work.
  void release(const void* address);
  const External& external() const { return external_; }
  // Gives arenas without blocks back to the system, after waiting for the device; returns their bytes.
  uint64_t release_unused();

  void set_limit(uint64_t bytes);  // 0: the device's recommendation. What is held already stays.
  MemoryStats stats();
  void reset_peaks();
  // Why allocate() gave null for so many bytes, in one sentence.
  std::string shortage(size_t bytes);

  // Records what happens from now on; the last so many events are kept. `hook` (may be null) says for each where the
  // program is.
  void start_history(size_t events, History::StackHook hook);
  void stop_history();
  // Calls visit(event), oldest first, under the lock.
  template <typename F>
  void for_each_event(F&& visit) const {
    std::lock_guard<std::mutex> lock(mutex_);
    history_.for_each(visit);
  }
  // Calls visit_arena(arena) and, for each block and free piece in it, visit_block(arena, unit, units, block or null),
  // by address, under the lock.
  template <typename A, typename B>
  void for_each_block(A&& visit_arena, B&& visit_block) const {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& arena : arenas_) {
      visit_arena(*arena);
      arena->for_each(
          [&](uint32_t unit, uint32_t units, const Block* block) { visit_block(*arena, unit, units, block); });
    }
  }

  // fork() must not catch the lock held: the child may still free what it inherited.
  void lock_for_fork() { mutex_.lock(); }
  void unlock_after_fork() { mutex_.unlock(); }

 private:
  // Streams are numbered by slots, which are used again. Those beyond the table share the last one.
  static constexpr uint32_t kSlots = 64, kShared = kSlots - 1;

  struct Use {
    const Stream* stream;
    uint64_t until;  // its progress when it will be done
  };
  // A freed block that other streams may still use.
  struct Waiting {
    Place place;
    std::vector<Use> uses;
  };
  // What those lock who change figures. It tells readers of the figures meanwhile, and at the end brings those up to
  // date that follow from others.
  class Change {
   public:
    explicit Change(Memory& memory) : memory_(memory) {}
    void lock();
    void unlock();

   private:
    Memory& memory_;
  };
  using Lock = std::unique_lock<Change>;

  static uint32_t slot_of(const Stream* stream) { return stream == nullptr ? 0 : stream->memory_slot; }
  Place take(uint32_t slot, size_t bytes);
  Place take_with_room_made(uint32_t slot, size_t bytes);
  Place take_after_waiting(uint32_t slot, size_t bytes, Lock* lock);
  Allocation hand_out(Place place, size_t bytes);
  bool collect_waiting();
  void put(Place place);

  bool grow(uint32_t slot, size_t bytes);
  bool add_arena(uint32_t slot, bool is_small, size_t bytes);
  uint64_t release_empty(uint64_t enough);
  bool is_quiet(const Arena& arena) const;

  Arena* arena_of(uintptr_t address) const;
  Place place_of(uintptr_t address) const;

  void refresh_figures();
  uint64_t ask_for_stack() const;
  void record(MemoryEvent::Kind kind, uint32_t slot, uint64_t address, uint64_t bytes, uint64_t block_bytes,
              uint64_t stack);

  Device& device_;
  const std::function<void()> drain_;
  mutable std::mutex mutex_;
  Change change_{*this};
  const std::unique_ptr<Figures> own_figures_;
  Figures& figures_;
  MemoryStats& stats_;               // in figures_
  bool free_space_changed_ = false;  // since the last refresh_figures()
  bool arenas_changed_ = false;
  uint64_t high_water_ = 0;  // most that was ever reserved
  uint64_t next_number_ = 0;
  std::array<Stream*, kSlots> streams_ = {};
  std::vector<Stream*> sharing_;                // streams without a slot of their own
  std::vector<std::unique_ptr<Pool>> pools_;    // by slot
  uint32_t pools_used_ = 0;                     // the first ones; the others never had an arena
  std::vector<std::unique_ptr<Arena>> arenas_;  // by address
  std::vector<Waiting> waiting_;
  mutable Arena* last_found_ = nullptr;  // consecutive look-ups mostly hit one arena
  History history_;
  std::atomic<History::StackHook> stack_hook_{nullptr};
  External external_;
};

}  // namespace mps
