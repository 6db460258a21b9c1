// Memory of the program that a device works in: whole pages, each adopted range with one Buffer, found by any address
// inside of it. The pages stay the program's: adopting copies nothing, and releasing frees nothing.
//
// A range that lies inside one adopted earlier shares its Buffer, so that launch() sees when two tensors overlap.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "plugin/core/device.h"

namespace mps {

class External {
 public:
  explicit External(Device& device) : device_(device) {}

  // `address` starts a page; the last page counts as a whole. Throws kArgument if it does not, or if the range overlaps
  // an adopted one without lying inside of it; kMemory if the device refuses.
  void adopt(void* address, size_t bytes);
  // Undoes one adopt() of this address; its work must be done. Throws kArgument if there was none.
  void release(const void* address);

  // The adopted range with the address at its offset; a null buffer if it is in none.
  Range find(const void* address) const;

  uint64_t count() const { return count_.load(std::memory_order_relaxed); }  // of ranges
  uint64_t bytes() const;                                                    // of their pages

 private:
  struct Entry {
    std::unique_ptr<Buffer> buffer;
    uint64_t adopted;  // how many times
  };
  using Entries = std::map<uintptr_t, Entry>;  // by the address of the first page

  Entries::const_iterator entry_of(uintptr_t address) const;

  Device& device_;
  std::atomic<uint64_t> count_{0};  // entries_.size(): most programs adopt nothing, and find() takes no lock then
  mutable std::mutex mutex_;
  Entries entries_;
};

}  // namespace mps
