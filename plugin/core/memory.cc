#include "plugin/core/memory.h"

#include <algorithm>
#include <iterator>

#include "plugin/core/check.h"

namespace mps {
namespace {

// Small requests share heaps of this size; a larger one gets a heap of its own.
constexpr size_t kHeapBytes = size_t{32} << 20;

size_t round_up(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

struct Memory::Arena {
  std::unique_ptr<Heap> heap;
  uintptr_t base;
};

Memory::Memory(Device& device, uint64_t limit, std::function<void()> drain)
    : device_(device),
      limit_(limit != 0 ? limit : device.properties().recommended_memory),
      drain_(std::move(drain)) {}

Memory::~Memory() {
  blocks_.clear();  // buffers go before their heaps
}

Memory::Blocks::iterator Memory::find_free(size_t bytes) {
  auto best = blocks_.end();
  for (auto it = blocks_.begin(); it != blocks_.end(); ++it) {
    const Block& block = it->second;
    if (block.buffer == nullptr && block.bytes >= bytes &&
        (best == blocks_.end() || block.bytes < best->second.bytes)) {
      best = it;
    }
  }
  return best;
}

bool Memory::add_arena(size_t bytes) {
  const size_t heap_bytes = std::max(round_up(bytes, device_.properties().alignment), kHeapBytes);
  // Near the limit a smaller heap may still do.
  const size_t wanted = stats_.reserved + heap_bytes <= limit_ ? heap_bytes : bytes;
  if (stats_.reserved + wanted > limit_ || wanted > device_.properties().max_buffer_bytes)
    return false;
  auto arena = std::make_unique<Arena>();
  arena->heap = device_.new_heap(wanted);
  if (arena->heap == nullptr) return false;
  const size_t size = arena->heap->bytes();
  arena->base = reinterpret_cast<uintptr_t>(arena->heap->new_buffer(0, size)->contents());
  blocks_.emplace(arena->base, Block{arena.get(), size, nullptr});
  stats_.reserved += size;
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  Arena* key = arena.get();
  arenas_.emplace(key, std::move(arena));
  return true;
}

void* Memory::take(Blocks::iterator it, size_t bytes) {
  const uintptr_t address = it->first;
  Block& block = it->second;
  if (block.bytes > bytes) {
    blocks_.emplace(address + bytes, Block{block.arena, block.bytes - bytes, nullptr});
    block.bytes = bytes;
  }
  block.buffer = block.arena->heap->new_buffer(address - block.arena->base, bytes);
  stats_.allocated += bytes;
  stats_.peak_allocated = std::max(stats_.peak_allocated, stats_.allocated);
  ++stats_.blocks;
  return reinterpret_cast<void*>(address);
}

void* Memory::allocate(size_t bytes) {
  const size_t size = round_up(std::max<size_t>(bytes, 1), device_.properties().alignment);
  std::lock_guard<std::mutex> lock(mutex_);
  auto block = find_free(size);
  if (block == blocks_.end()) {
    // A heap that nobody uses may be what keeps the limit from having room.
    if (!add_arena(size) && (release_unused_locked() == 0 || !add_arena(size))) return nullptr;
    block = find_free(size);
  }
  return take(block, size);
}

void Memory::free(void* address) {
  // Queued work may still use the block; later work of the same stream could follow it safely, but
  // the host and other streams could not.
  drain_();
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = blocks_.find(reinterpret_cast<uintptr_t>(address));
  MPS_CHECK(it != blocks_.end() && it->second.buffer != nullptr, kArgument,
            "free of an address that no block starts at: got ", address, ". Free each block once.");
  it->second.buffer.reset();
  stats_.allocated -= it->second.bytes;
  --stats_.blocks;
  merge(it);
}

Memory::Blocks::iterator Memory::merge(Blocks::iterator it) {
  const auto mergeable = [&](Blocks::iterator other) {
    return other->second.buffer == nullptr && other->second.arena == it->second.arena;
  };
  const auto next = std::next(it);
  if (next != blocks_.end() && mergeable(next)) {
    it->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (it != blocks_.begin()) {
    const auto previous = std::prev(it);
    if (mergeable(previous)) {
      previous->second.bytes += it->second.bytes;
      blocks_.erase(it);
      return previous;
    }
  }
  return it;
}

Range Memory::resolve(const void* address, size_t bytes) const {
  const uintptr_t target = reinterpret_cast<uintptr_t>(address);
  std::lock_guard<std::mutex> lock(mutex_);
  auto it = blocks_.upper_bound(target);
  const bool before_all = it == blocks_.begin();
  if (!before_all) --it;
  const size_t offset = target - it->first;
  MPS_CHECK(!before_all && it->second.buffer != nullptr && offset + bytes <= it->second.bytes,
            kArgument, "address is not device memory: expected ", bytes,
            " bytes inside one block of this device, got ", address,
            ". Move the tensor to the device first.");
  return {it->second.buffer.get(), offset, bytes};
}

uint64_t Memory::release_unused() {
  drain_();
  std::lock_guard<std::mutex> lock(mutex_);
  return release_unused_locked();
}

uint64_t Memory::release_unused_locked() {
  uint64_t released = 0;
  for (auto it = blocks_.begin(); it != blocks_.end();) {
    Arena* arena = it->second.arena;
    const size_t size = arena->heap->bytes();
    if (it->second.buffer == nullptr && it->second.bytes == size) {
      it = blocks_.erase(it);
      arenas_.erase(arena);
      stats_.reserved -= size;
      released += size;
    } else {
      ++it;
    }
  }
  return released;
}

MemoryStats Memory::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  MemoryStats stats = stats_;
  stats.heaps = arenas_.size();
  stats.limit = limit_;
  for (const auto& [address, block] : blocks_) {
    if (block.buffer == nullptr)
      stats.largest_free_block = std::max<uint64_t>(stats.largest_free_block, block.bytes);
  }
  return stats;
}

void Memory::reset_peaks() {
  std::lock_guard<std::mutex> lock(mutex_);
  stats_.peak_allocated = stats_.allocated;
  stats_.peak_reserved = stats_.reserved;
}

}  // namespace mps
