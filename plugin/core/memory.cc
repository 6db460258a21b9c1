#include "plugin/core/memory.h"

#include <algorithm>
#include <cstdio>

#include "plugin/core/check.h"

namespace mps {
namespace {

constexpr size_t kSmallUnit = 256;
constexpr size_t kMostSmall = size_t{64} << 10;
constexpr size_t kPage = kLargeAlignment;
constexpr size_t kLeastSmallArena = size_t{1} << 20, kMostSmallArena = size_t{32} << 20;
constexpr size_t kLeastLargeArena = size_t{4} << 20;
constexpr size_t kAlone = size_t{1} << 20;  // from here on, tensors may have an arena of their own
// Arenas grow with what there is, so that large programs have few of them: small ones by an eighth of the small ones,
// large ones by a 64th of everything, or a 256th where one tensor fills it.
constexpr uint64_t kSmallShare = 8, kLargeShare = 64, kAloneShare = 256;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// "1.50 GiB"
std::string in_words(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return text;
}

size_t power_of_two_at_least(size_t value) {
  size_t power = 1;
  while (power < value) power <<= 1;
  return power;
}

}  // namespace

Memory::Memory(Device& device, uint64_t limit, std::function<void()> drain, Figures* figures)
    : device_(device),
      drain_(std::move(drain)),
      own_figures_(figures == nullptr ? std::make_unique<Figures>() : nullptr),
      figures_(figures == nullptr ? *own_figures_ : *figures),
      stats_(figures_.memory),
      external_(device) {
  const size_t most_small = std::min(kMostSmall, device_.properties().small_bytes);
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    pools_.push_back(std::make_unique<Pool>(&free_space_changed_, most_small));
  }
  set_limit(limit);
}

Memory::~Memory() = default;

void Memory::add_stream(Stream* stream) {
  std::lock_guard<std::mutex> lock(mutex_);
  uint32_t slot = 0;
  while (slot < kShared && streams_[slot] != nullptr) ++slot;
  stream->memory_slot = slot;
  slot < kShared ? void(streams_[slot] = stream) : sharing_.push_back(stream);
}

void Memory::remove_stream(Stream* stream) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (Waiting& waiting : waiting_) {
    auto& uses = waiting.uses;
    uses.erase(std::remove_if(uses.begin(), uses.end(), [&](const Use& use) { return use.stream == stream; }),
               uses.end());
  }
  if (stream->memory_slot == kShared) {
    sharing_.erase(std::remove(sharing_.begin(), sharing_.end(), stream), sharing_.end());
  } else {
    // Its memory stays for the next stream of this slot, whose work comes after all of its own.
    streams_[stream->memory_slot] = nullptr;
    for (const auto& arena : arenas_) {
      if (arena->slot() == stream->memory_slot) arena->quiet_at = 0;
    }
  }
}

// -- allocate ---------------------------------------------------------------------------------------------------------

Memory::Allocation Memory::allocate(size_t bytes, const Stream* stream) {
  const size_t size = std::max<size_t>(bytes, 1);
  const uint32_t slot = slot_of(stream);
  const uint64_t stack = ask_for_stack();
  Lock lock(change_);
  ++stats_.allocations;
  Place place = take(slot, size);
  if (!place) place = take_with_room_made(slot, size);
  if (!place) place = take_after_waiting(slot, size, &lock);
  if (!place) {
    ++stats_.failures;
    record(MemoryEvent::Kind::kOutOfMemory, slot, 0, bytes, 0, stack);
    return {};
  }
  const Allocation given = hand_out(place, bytes);
  record(MemoryEvent::Kind::kAllocate, slot, place.address(), bytes, given.bytes, stack);
  return given;
}

Place Memory::take(uint32_t slot, size_t bytes) { return pools_[slot]->take(bytes); }

Place Memory::take_with_room_made(uint32_t slot, size_t bytes) {
  if (collect_waiting()) {
    if (const Place place = take(slot, bytes)) return place;
  }
  if (pools_[slot]->is_small(bytes) && pools_[slot]->join()) {
    if (const Place place = take(slot, bytes)) return place;
  }
  return grow(slot, bytes) ? take(slot, bytes) : Place{};
}

Place Memory::take_after_waiting(uint32_t slot, size_t bytes, Lock* lock) {
  ++stats_.retries;
  lock->unlock();
  drain_();
  lock->lock();
  if (const Place place = take_with_room_made(slot, bytes)) return place;
  for (const auto& pool : pools_) pool->join();
  release_empty(UINT64_MAX);
  if (grow(slot, bytes)) return take(slot, bytes);
  // Now that the device is idle, memory of other streams is as good.
  for (const auto& pool : pools_) {
    if (const Place place = pool->take(bytes)) return place;
  }
  // And a small block may lie among large ones.
  if (!pools_[slot]->is_small(bytes)) return {};
  for (const auto& pool : pools_) {
    if (const Place place = pool->take(kMostSmall + 1)) return place;
  }
  return {};
}

Memory::Allocation Memory::hand_out(Place place, size_t bytes) {
  const size_t block_bytes = place.bytes();
  Block& block = place.block();
  block.slack = static_cast<uint32_t>(block_bytes - bytes);
  block.users = 0;
  stats_.requested += bytes;
  stats_.allocated += block_bytes;
  stats_.peak_requested = std::max(stats_.peak_requested, stats_.requested);
  stats_.peak_allocated = std::max(stats_.peak_allocated, stats_.allocated);
  ++stats_.blocks;
  return {reinterpret_cast<void*>(place.address()), block_bytes};
}

// -- free -------------------------------------------------------------------------------------------------------------

void Memory::free(void* address) {
  const uint64_t stack = ask_for_stack();
  std::lock_guard<Change> lock(change_);
  const uintptr_t target = reinterpret_cast<uintptr_t>(address);
  const Place place = place_of(target);
  MPS_CHECK(place && place.address() == target && place.block().in_use(), kArgument,
            "free of an address that no block starts at: got ", address, ". Free each block once.");
  Block& block = place.block();
  const size_t bytes = place.bytes();
  stats_.requested -= bytes - block.slack;
  stats_.allocated -= bytes;
  --stats_.blocks;
  ++stats_.frees;
  const uint32_t own = place.arena->slot();
  record(MemoryEvent::Kind::kFree, own, target, bytes - block.slack, bytes, stack);
  const uint64_t others = own == kShared ? block.users | uint64_t{1} << own : block.users & ~(uint64_t{1} << own);
  if (others == 0) return put(place);

  Waiting waiting{place, {}};
  const auto use = [&](const Stream* stream) {
    if (stream != nullptr && stream->completed() < stream->submitted()) {
      waiting.uses.push_back({stream, stream->submitted()});
    }
  };
  for (uint32_t slot = 0; slot < kShared; ++slot) {
    if ((others >> slot & 1) != 0) use(streams_[slot]);
  }
  if ((others >> kShared & 1) != 0) {
    for (const Stream* stream : sharing_) use(stream);
  }
  if (waiting.uses.empty()) return put(place);
  block.slack = Block::kWaiting;
  stats_.waiting += bytes;
  waiting_.push_back(std::move(waiting));
}

void Memory::put(Place place) {
  const Stream* const stream = streams_[place.arena->slot()];
  if (stream != nullptr) place.arena->quiet_at = stream->submitted();
  pools_[place.arena->slot()]->put(place);
}

// Frees the blocks whose other users are done; whether there were any.
bool Memory::collect_waiting() {
  const size_t before = waiting_.size();
  const auto done = [&](Waiting& waiting) {
    for (const Use& use : waiting.uses) {
      if (use.stream->completed() < use.until) return false;
    }
    stats_.waiting -= waiting.place.bytes();
    put(waiting.place);
    return true;
  };
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), done), waiting_.end());
  return waiting_.size() != before;
}

// -- arenas -----------------------------------------------------------------------------------------------------------

bool Memory::grow(uint32_t slot, size_t bytes) {
  const bool is_small = pools_[slot]->is_small(bytes);
  const size_t alignment = device_.properties().alignment;
  size_t least, wanted;
  if (is_small) {
    const size_t unit = std::max(kSmallUnit, alignment);
    least = power_of_two_at_least(round_up(bytes, unit));
    const size_t share = power_of_two_at_least(pools_[slot]->small_bytes() / kSmallShare);
    wanted = std::max(least, std::clamp(share, kLeastSmallArena, kMostSmallArena));
  } else {
    const size_t page = std::max(kPage, alignment);
    least = round_up(bytes, page);
    const bool alone = bytes >= kAlone;
    const uint64_t share = stats_.reserved / (alone ? kAloneShare : kLargeShare);
    wanted = std::max({least, alone ? 0 : kLeastLargeArena, round_up(share, page)});
  }
  const auto room = [&](size_t size) { return stats_.reserved + size <= stats_.limit; };
  if (stats_.reserved + wanted > high_water_) release_empty(stats_.reserved + wanted - high_water_);
  if (!room(wanted)) release_empty(stats_.reserved + wanted - stats_.limit);
  // Near the limit a smaller arena may still do.
  while (!room(wanted) && wanted / 2 >= least) wanted /= 2;
  if (!room(wanted) && wanted > least) wanted = least;
  if (!is_small) wanted = round_up(wanted, std::max(kPage, alignment));
  if (!room(wanted) || wanted > device_.properties().max_buffer_bytes) return false;
  return add_arena(slot, is_small, wanted) || (wanted > least && add_arena(slot, is_small, least));
}

bool Memory::add_arena(uint32_t slot, bool is_small, size_t bytes) {
  std::unique_ptr<Heap> heap = device_.new_heap(bytes);
  if (heap == nullptr) return false;
  const size_t unit = std::max(is_small ? kSmallUnit : kPage, device_.properties().alignment);
  auto arena = std::make_unique<Arena>(is_small, next_number_++, slot, std::move(heap), unit);
  ++stats_.heaps;
  stats_.reserved += arena->bytes();
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  high_water_ = std::max(high_water_, stats_.reserved);
  arenas_changed_ = true;
  pools_[slot]->add(arena.get());
  pools_used_ = std::max(pools_used_, slot + 1);
  record(MemoryEvent::Kind::kReserve, slot, arena->base(), arena->bytes(), arena->bytes(), 0);
  const auto after = std::upper_bound(arenas_.begin(), arenas_.end(), arena->base(),
                                      [](uintptr_t base, const auto& other) { return base < other->base(); });
  arenas_.insert(after, std::move(arena));
  return true;
}

bool Memory::is_quiet(const Arena& arena) const {
  const Stream* const stream = streams_[arena.slot()];
  return stream == nullptr || stream->completed() >= arena.quiet_at;
}

// Gives arenas without blocks that no queued work uses back, until `enough` bytes of them are gone.
uint64_t Memory::release_empty(uint64_t enough) {
  uint64_t released = 0;
  const auto goes = [&](const std::unique_ptr<Arena>& arena) {
    if (released >= enough || !arena->empty() || !is_quiet(*arena)) return false;
    released += arena->bytes();
    --stats_.heaps;
    record(MemoryEvent::Kind::kRelease, arena->slot(), arena->base(), arena->bytes(), arena->bytes(), 0);
    pools_[arena->slot()]->remove(arena.get());
    return true;
  };
  arenas_.erase(std::remove_if(arenas_.begin(), arenas_.end(), goes), arenas_.end());
  last_found_ = nullptr;
  stats_.reserved -= released;
  arenas_changed_ |= released != 0;
  return released;
}

bool Memory::adopt(void* address, size_t bytes) {
  if (owns(address)) return false;
  external_.adopt(address, bytes);
  return true;
}

void Memory::release(const void* address) {
  drain_();
  external_.release(address);
}

uint64_t Memory::release_unused() {
  drain_();
  std::lock_guard<Change> lock(change_);
  collect_waiting();
  for (const auto& pool : pools_) pool->join();
  return release_empty(UINT64_MAX);
}

// -- addresses --------------------------------------------------------------------------------------------------------

Arena* Memory::arena_of(uintptr_t address) const {
  if (last_found_ != nullptr && last_found_->contains(address)) return last_found_;
  const auto after = std::upper_bound(arenas_.begin(), arenas_.end(), address,
                                      [](uintptr_t target, const auto& arena) { return target < arena->base(); });
  if (after == arenas_.begin()) return nullptr;
  Arena* const arena = std::prev(after)->get();
  if (!arena->contains(address)) return nullptr;
  last_found_ = arena;
  return arena;
}

// The block that holds the address, idle ones included.
Place Memory::place_of(uintptr_t address) const {
  Arena* const arena = arena_of(address);
  if (arena == nullptr) return {};
  const uint32_t unit = arena->find(arena->unit_of(address));
  return unit == Arena::kNone ? Place{} : Place{arena, unit};
}

Range Memory::resolve(const void* address, size_t bytes, const Stream* stream) {
  const uintptr_t target = reinterpret_cast<uintptr_t>(address);
  std::lock_guard<std::mutex> lock(mutex_);
  const Place place = place_of(target);
  Range block;
  if (place && place.block().in_use()) {
    block = {place.block().buffer, target - place.address(), place.bytes()};
    if (stream != nullptr) place.block().users |= uint64_t{1} << stream->memory_slot;
  } else if (!place) {
    block = external_.find(address);
  }
  MPS_CHECK(block.buffer != nullptr && block.offset + bytes <= block.bytes, kArgument,
            "address is not device memory: expected ", bytes, " bytes inside one block of this device, got ", address,
            ". Move the tensor to the device first.");
  return {block.buffer, block.offset, bytes};
}

bool Memory::owns(const void* address) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return arena_of(reinterpret_cast<uintptr_t>(address)) != nullptr;
}

// -- history ----------------------------------------------------------------------------------------------------------

void Memory::start_history(size_t events, History::StackHook hook) {
  std::lock_guard<std::mutex> lock(mutex_);
  history_.start(events);
  stack_hook_.store(hook);
}

void Memory::stop_history() {
  std::lock_guard<std::mutex> lock(mutex_);
  history_.stop();
  stack_hook_.store(nullptr);
}

// The hook may take locks of its own (Python's), so it is asked before ours is taken.
uint64_t Memory::ask_for_stack() const {
  const History::StackHook hook = stack_hook_.load(std::memory_order_relaxed);
  return hook == nullptr ? 0 : hook();
}

void Memory::record(MemoryEvent::Kind kind, uint32_t slot, uint64_t address, uint64_t bytes, uint64_t block_bytes,
                    uint64_t stack) {
  if (history_.is_on()) history_.add({kind, slot, current_op(), 0, 0, address, bytes, block_bytes, stack});
}

// -- figures ----------------------------------------------------------------------------------------------------------

// A sequence lock with one writer at a time. The fence keeps the changes behind the odd number, the last store keeps
// them before the even one.
void Memory::Change::lock() {
  memory_.mutex_.lock();
  std::atomic<uint64_t>& sequence = memory_.figures_.sequence;
  sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

void Memory::Change::unlock() {
  memory_.refresh_figures();
  std::atomic<uint64_t>& sequence = memory_.figures_.sequence;
  sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  memory_.mutex_.unlock();
}

void Memory::refresh_figures() {
  if (free_space_changed_) {
    free_space_changed_ = false;
    stats_.largest_free_block = 0;
    for (uint32_t slot = 0; slot < pools_used_; ++slot) {
      stats_.largest_free_block = std::max<uint64_t>(stats_.largest_free_block, pools_[slot]->largest_free_bytes());
    }
  }
  if (arenas_changed_) {
    arenas_changed_ = false;
    stats_.driver_allocated = device_.driver_allocated_bytes();
  }
}

void Memory::set_limit(uint64_t bytes) {
  std::lock_guard<Change> lock(change_);
  stats_.limit = bytes != 0 ? bytes : device_.properties().recommended_memory;
}

MemoryStats Memory::stats() {
  std::lock_guard<Change> lock(change_);
  collect_waiting();
  arenas_changed_ = true;  // what the driver says may have changed by itself
  refresh_figures();
  return stats_;
}

void Memory::reset_peaks() {
  std::lock_guard<Change> lock(change_);
  stats_.peak_requested = stats_.requested;
  stats_.peak_allocated = stats_.allocated;
  stats_.peak_reserved = stats_.reserved;
}

std::string Memory::shortage(size_t bytes) {
  const MemoryStats now = stats();
  return detail::concatenate("[", current_op(), "] out of memory: expected room for ", in_words(bytes),
                             ", got a limit of ", in_words(now.limit), ", ", in_words(now.allocated), " allocated, ",
                             in_words(now.reserved), " reserved, largest free block ", in_words(now.largest_free_block),
                             ". Delete tensors, make the batch smaller, or raise PADDLE_MPS_MEMORY_LIMIT or "
                             "set_per_process_memory_fraction().");
}

}  // namespace mps
