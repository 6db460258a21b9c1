#include "plugin/core/external.h"

#include <iterator>

#include "plugin/core/check.h"

namespace mps {

External::Entries::const_iterator External::entry_of(uintptr_t address) const {
  const auto after = entries_.upper_bound(address);
  if (after == entries_.begin()) return entries_.end();
  const auto entry = std::prev(after);
  return address - entry->first < entry->second.buffer->bytes() ? entry : entries_.end();
}

void External::adopt(void* address, size_t bytes) {
  const size_t page = device_.properties().page_bytes;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(address);
  MPS_CHECK(begin != 0 && begin % page == 0 && bytes != 0, kArgument,
            "memory cannot be shared with the device: expected some bytes from the start of a page of ", page,
            " bytes on, got ", bytes, " bytes at ", address, ", ", begin % page,
            " behind the start of one. Use paddle_mps.empty_numpy(), or a copy.");
  const size_t size = (bytes + page - 1) / page * page;
  const uintptr_t end = begin + size;
  std::lock_guard<std::mutex> lock(mutex_);
  if (const auto around = entry_of(begin); around != entries_.end()) {
    const Buffer& buffer = *around->second.buffer;
    if (end <= around->first + buffer.bytes()) {
      ++entries_[around->first].adopted;
      return;
    }
  }
  const auto next = entries_.upper_bound(begin);
  MPS_CHECK(entry_of(begin) == entries_.end() && (next == entries_.end() || next->first >= end), kArgument,
            "memory is shared with the device already, in part: expected all of it or none, got ", bytes, " bytes at ",
            address, ". Share the larger array first, or copy one of them.");
  std::unique_ptr<Buffer> buffer = device_.wrap(address, size);
  MPS_CHECK(buffer != nullptr, kMemory, "the system refused to share memory with the device: expected a buffer over ",
            size, " bytes at ", address, ", got none. Copy the array instead.");
  entries_.emplace(begin, Entry{std::move(buffer), 1});
  count_.store(entries_.size(), std::memory_order_relaxed);
}

void External::release(const void* address) {
  std::unique_ptr<Buffer> last;  // destroyed without the lock
  std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = entry_of(reinterpret_cast<uintptr_t>(address));
  MPS_CHECK(entry != entries_.end(), kArgument, "release of memory that was not shared with the device: got ", address,
            ". Release once what was adopted once.");
  Entry& found = entries_[entry->first];
  if (--found.adopted != 0) return;
  last = std::move(found.buffer);
  entries_.erase(entry);
  count_.store(entries_.size(), std::memory_order_relaxed);
}

Range External::find(const void* address) const {
  if (count() == 0) return {};
  const uintptr_t target = reinterpret_cast<uintptr_t>(address);
  std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = entry_of(target);
  if (entry == entries_.end()) return {};
  Buffer* const buffer = entry->second.buffer.get();
  return {buffer, target - entry->first, buffer->bytes()};
}

uint64_t External::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [address, entry] : entries_) sum += entry.buffer->bytes();
  return sum;
}

}  // namespace mps
