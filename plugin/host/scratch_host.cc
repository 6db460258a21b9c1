#include "plugin/host/scratch_host.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace mps {
namespace {

constexpr size_t kGranularity = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
// Most bytes that are kept while nobody uses them.
constexpr size_t kMaxIdleBytes = size_t{512} << 20;

// Large blocks start at a large page; the size says which kind a block is.
std::align_val_t alignment_of(size_t bytes) { return std::align_val_t{bytes >= kHugePage ? kHugePage : 64}; }

char* allocate(size_t bytes) {
  void* const data = ::operator new(bytes, alignment_of(bytes), std::nothrow);
#if defined(MADV_HUGEPAGE)
  if (data != nullptr && bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);  // advice, may be refused
#endif
  return static_cast<char*>(data);
}

void release(char* data, size_t bytes) { ::operator delete(data, alignment_of(bytes)); }

}  // namespace

Scratch::Lease::Lease(Lease&& other) noexcept : owner_(other.owner_), data_(other.data_), bytes_(other.bytes_) {
  other.owner_ = nullptr;
}

Scratch::Lease::~Lease() {
  if (owner_ != nullptr) owner_->give_back(data_, bytes_);
}

Scratch::~Scratch() {
  for (const Block& block : idle_) release(block.data, block.bytes);
}

Scratch::Lease Scratch::take(size_t bytes) {
  const size_t size = (bytes + kGranularity - 1) / kGranularity * kGranularity;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    auto best = idle_.end();
    for (auto it = idle_.begin(); it != idle_.end(); ++it) {
      if (it->bytes >= size && (best == idle_.end() || it->bytes < best->bytes)) best = it;
    }
    // A block that is far too large is left for a run that needs it.
    if (best != idle_.end() && best->bytes <= 4 * size + (size_t{1} << 20)) {
      const Block block = *best;
      *best = idle_.back();
      idle_.pop_back();
      idle_bytes_ -= block.bytes;
      return Lease(this, block.data, block.bytes);
    }
    total_bytes_ += size;
  }
  char* const data = allocate(size);
  if (data == nullptr) {
    std::lock_guard<std::mutex> lock(mutex_);
    total_bytes_ -= size;
    throw std::bad_alloc();
  }
  return Lease(this, data, size);
}

void Scratch::give_back(char* data, size_t bytes) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (idle_bytes_ + bytes <= kMaxIdleBytes) {
      idle_.push_back({data, bytes});
      idle_bytes_ += bytes;
      return;
    }
    total_bytes_ -= bytes;
  }
  release(data, bytes);
}

size_t Scratch::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return total_bytes_;
}

Scratch& shared_scratch() {
  static Scratch* const shared = new Scratch;
  return *shared;
}

}  // namespace mps
