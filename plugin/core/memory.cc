#include "plugin/core/memory.h"

#include <algorithm>
#include <cstdlib>

#include "plugin/core/buddy.h"
#include "plugin/core/check.h"

namespace mps {
namespace {

constexpr size_t kSmallUnit = 256;
constexpr size_t kMediumUnit = size_t{16} << 10;
constexpr size_t kLargeUnit = size_t{64} << 10;
constexpr size_t kMostSmall = size_t{512} << 10;
constexpr size_t kMostMedium = size_t{64} << 20;
constexpr size_t kLeastArena = size_t{32} << 20;
constexpr size_t kMostArena = size_t{256} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

size_t power_of_two_at_least(size_t value) {
  size_t power = 1;
  while (power < value) power <<= 1;
  return power;
}

int log2_of(size_t power) { return __builtin_ctzll(power); }

}  // namespace

// One heap and the buddy allocator over it.
class Memory::Arena {
 public:
  Arena(SizeClass size_class, std::unique_ptr<Heap> heap, size_t unit_bytes, int order)
      : size_class_(size_class),
        heap_(std::move(heap)),
        unit_bytes_(unit_bytes),
        buddy_(order),
        // calloc: its pages cost nothing until a block starts there.
        blocks_(static_cast<BlockInfo*>(std::calloc(size_t{1} << order, sizeof(BlockInfo)))) {
    if (blocks_ == nullptr) throw std::bad_alloc();
    base_ = reinterpret_cast<uintptr_t>(heap_->new_buffer(0, heap_->bytes())->contents());
  }

  ~Arena() {
    for (uint32_t unit = 0; unit < buddy_.total_units(); ++unit) {
      if (buddy_.used_units() == 0) break;
      if (blocks_[unit].buffer != nullptr) free(unit);
    }
    std::free(blocks_);
  }

  SizeClass size_class() const { return size_class_; }
  uintptr_t base() const { return base_; }
  size_t bytes() const { return heap_->bytes(); }
  bool unused() const { return buddy_.used_units() == 0; }
  bool contains(uintptr_t address) const { return address - base_ < buddy_.total_units() * unit_bytes_; }
  size_t largest_free_bytes() const { return buddy_.largest_free_piece() * unit_bytes_; }

  // The address of a new block, or 0.
  uintptr_t allocate(size_t bytes, size_t* block_bytes) {
    const size_t units = (bytes + unit_bytes_ - 1) / unit_bytes_;
    if (units > buddy_.total_units()) return 0;
    const uint32_t start = buddy_.allocate(static_cast<uint32_t>(units));
    if (start == Buddy::kNone) return 0;
    *block_bytes = units * unit_bytes_;
    const size_t offset = start * unit_bytes_;
    blocks_[start] = {heap_->new_buffer(offset, *block_bytes).release(), bytes};
    return base_ + offset;
  }

  struct BlockInfo {
    Buffer* buffer;  // owned; null where no block starts
    size_t requested;
  };

  // Where the block that starts at this address starts, in units; kNone if none does.
  uint32_t block_at(uintptr_t address) const {
    const size_t offset = address - base_;
    const uint32_t unit = static_cast<uint32_t>(offset / unit_bytes_);
    return offset % unit_bytes_ == 0 && blocks_[unit].buffer != nullptr ? unit : Buddy::kNone;
  }

  const BlockInfo& info(uint32_t start) const { return blocks_[start]; }

  size_t free(uint32_t start) {
    delete blocks_[start].buffer;
    blocks_[start].buffer = nullptr;
    return buddy_.free(start) * unit_bytes_;
  }

  // The block that holds the address; a null buffer if none does.
  Range find(uintptr_t address) const {
    const size_t offset = address - base_;
    const Buddy::Block block = buddy_.find(static_cast<uint32_t>(offset / unit_bytes_));
    if (block.start == Buddy::kNone) return {};
    return {blocks_[block.start].buffer, offset - block.start * unit_bytes_, block.units * unit_bytes_};
  }

 private:
  const SizeClass size_class_;
  const std::unique_ptr<Heap> heap_;
  const size_t unit_bytes_;
  Buddy buddy_;
  BlockInfo* const blocks_;  // by unit
  uintptr_t base_;
};

Memory::Memory(Device& device, uint64_t limit, std::function<void()> drain)
    : device_(device),
      limit_(limit != 0 ? limit : device.properties().recommended_memory),
      drain_(std::move(drain)),
      external_(device) {}

Memory::~Memory() = default;

Memory::SizeClass Memory::class_of(size_t bytes) {
  if (bytes <= kMostSmall) return SizeClass::kSmall;
  return bytes <= kMostMedium ? SizeClass::kMedium : SizeClass::kLarge;
}

bool Memory::add_arena(SizeClass size_class, size_t bytes) {
  const size_t alignment = device_.properties().alignment;
  size_t unit, wanted;
  if (size_class == SizeClass::kLarge) {
    unit = wanted = round_up(bytes, std::max(kLargeUnit, alignment));
  } else {
    unit = std::max(size_class == SizeClass::kSmall ? kSmallUnit : kMediumUnit, alignment);
    // An eighth of what there is: few arenas, and little unused.
    const size_t growth = power_of_two_at_least(stats_.reserved / 8);
    wanted = std::clamp(growth, kLeastArena, kMostArena);
    wanted = std::max(wanted, power_of_two_at_least(bytes));
    // Near the limit a smaller arena may still do.
    while (stats_.reserved + wanted > limit_ && wanted / 2 >= std::max(bytes, unit)) wanted /= 2;
  }
  if (stats_.reserved + wanted > limit_ || wanted > device_.properties().max_buffer_bytes) return false;
  std::unique_ptr<Heap> heap = device_.new_heap(wanted);
  if (heap == nullptr) return false;
  auto arena = std::make_unique<Arena>(size_class, std::move(heap), unit, log2_of(wanted / unit));
  stats_.reserved += arena->bytes();
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  const auto after = std::upper_bound(arenas_.begin(), arenas_.end(), arena->base(),
                                      [](uintptr_t base, const auto& other) { return base < other->base(); });
  arenas_.insert(after, std::move(arena));
  return true;
}

void* Memory::allocate_locked(SizeClass size_class, size_t bytes) {
  for (const auto& arena : arenas_) {
    if (arena->size_class() != size_class) continue;
    // A large arena holds one block; one much larger than the request would waste the difference.
    if (size_class == SizeClass::kLarge && (arena->bytes() < bytes || arena->bytes() - bytes > bytes / 8)) continue;
    size_t block_bytes;
    const uintptr_t address = arena->allocate(bytes, &block_bytes);
    if (address == 0) continue;
    stats_.requested += bytes;
    stats_.allocated += block_bytes;
    stats_.peak_requested = std::max(stats_.peak_requested, stats_.requested);
    stats_.peak_allocated = std::max(stats_.peak_allocated, stats_.allocated);
    ++stats_.blocks;
    return reinterpret_cast<void*>(address);
  }
  return nullptr;
}

void* Memory::allocate(size_t bytes) {
  const size_t size = std::max<size_t>(bytes, 1);
  const SizeClass size_class = class_of(size);
  std::lock_guard<std::mutex> lock(mutex_);
  if (void* address = allocate_locked(size_class, size)) return address;
  // Arenas that nobody uses may be what keeps the limit from having room.
  if (!add_arena(size_class, size) && (release_unused_locked() == 0 || !add_arena(size_class, size))) return nullptr;
  return allocate_locked(size_class, size);
}

Memory::Arena* Memory::arena_of(uintptr_t address) const {
  if (last_resolved_ != nullptr && last_resolved_->contains(address)) return last_resolved_;
  const auto after = std::upper_bound(arenas_.begin(), arenas_.end(), address,
                                      [](uintptr_t target, const auto& arena) { return target < arena->base(); });
  if (after == arenas_.begin()) return nullptr;
  Arena* arena = std::prev(after)->get();
  if (!arena->contains(address)) return nullptr;
  last_resolved_ = arena;
  return arena;
}

void Memory::free(void* address) {
  // Queued work may still use the block. Later work of the same stream could follow it safely, but the host and other
  // streams could not.
  drain_();
  std::lock_guard<std::mutex> lock(mutex_);
  const uintptr_t target = reinterpret_cast<uintptr_t>(address);
  Arena* arena = arena_of(target);
  const uint32_t block = arena == nullptr ? Buddy::kNone : arena->block_at(target);
  MPS_CHECK(block != Buddy::kNone, kArgument, "free of an address that no block starts at: got ", address,
            ". Free each block once.");
  stats_.requested -= arena->info(block).requested;
  stats_.allocated -= arena->free(block);
  --stats_.blocks;
}

Range Memory::resolve(const void* address, size_t bytes) const {
  const uintptr_t target = reinterpret_cast<uintptr_t>(address);
  std::lock_guard<std::mutex> lock(mutex_);
  const Arena* arena = arena_of(target);
  const Range block = arena == nullptr ? external_.find(address) : arena->find(target);
  MPS_CHECK(block.buffer != nullptr && block.offset + bytes <= block.bytes, kArgument,
            "address is not device memory: expected ", bytes, " bytes inside one block of this device, got ", address,
            ". Move the tensor to the device first.");
  return {block.buffer, block.offset, bytes};
}

bool Memory::owns(const void* address) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return arena_of(reinterpret_cast<uintptr_t>(address)) != nullptr;
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
  std::lock_guard<std::mutex> lock(mutex_);
  return release_unused_locked();
}

uint64_t Memory::release_unused_locked() {
  uint64_t released = 0;
  for (auto it = arenas_.begin(); it != arenas_.end();) {
    if ((*it)->unused()) {
      released += (*it)->bytes();
      it = arenas_.erase(it);
    } else {
      ++it;
    }
  }
  last_resolved_ = nullptr;
  stats_.reserved -= released;
  return released;
}

MemoryStats Memory::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  MemoryStats stats = stats_;
  stats.heaps = arenas_.size();
  stats.limit = limit_;
  for (const auto& arena : arenas_) {
    stats.largest_free_block = std::max<uint64_t>(stats.largest_free_block, arena->largest_free_bytes());
  }
  return stats;
}

void Memory::reset_peaks() {
  std::lock_guard<std::mutex> lock(mutex_);
  stats_.peak_requested = stats_.requested;
  stats_.peak_allocated = stats_.allocated;
  stats_.peak_reserved = stats_.reserved;
}

}  // namespace mps
