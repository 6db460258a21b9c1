#include "plugin/host/scratch_host.h"

#include <algorithm>
#include <new>

namespace mps {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kGranularity = 4096;
// Most bytes that are kept while nobody uses them.
constexpr size_t kMaxIdleBytes = size_t{512} << 20;

}  // namespace

Scratch::Lease::Lease(Lease&& other) noexcept : owner_(other.owner_), data_(other.data_), bytes_(other.bytes_) {
  other.owner_ = nullptr;
}

Scratch::Lease::~Lease() {
  if (owner_ != nullptr) owner_->give_back(data_, bytes_);
}

Scratch::~Scratch() {
  for (const Block& block : idle_) ::operator delete(block.data, kAlignment);
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
  char* data = static_cast<char*>(::operator new(size, kAlignment, std::nothrow));
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
  ::operator delete(data, kAlignment);
}

size_t Scratch::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return total_bytes_;
}

}  // namespace mps
