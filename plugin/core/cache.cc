#include "plugin/core/cache.h"

namespace mps {

Cache::Cache(Device& device, uint64_t max_entries, uint64_t max_bytes, CacheInfo* info)
    : device_(device), info_(info == nullptr ? own_info_ : *info) {
  info_.max_entries = max_entries;
  info_.max_bytes = max_bytes;
}

Cache::Entries::iterator Cache::find(const Graph& graph, uint64_t hash) {
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (it->second->graph == graph) return it->second;
  }
  return entries_.end();
}

std::shared_ptr<const Executable> Cache::get(const Graph& graph) {
  const uint64_t hash = graph.hash();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = find(graph, hash);
    if (found != entries_.end()) {
      ++info_.hits;
      if (found != entries_.begin()) entries_.splice(entries_.begin(), entries_, found);
      return found->executable;
    }
    ++info_.misses;
  }
  // Compiling may take milliseconds: other threads go on meanwhile.
  std::shared_ptr<const Executable> executable = device_.compile(graph);
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = find(graph, hash);
  if (found != entries_.end()) return found->executable;
  const size_t bytes = executable->bytes() + sizeof(Entry);
  entries_.push_front({graph, hash, executable, bytes});
  by_hash_.emplace(hash, entries_.begin());
  info_.bytes += bytes;
  info_.entries = entries_.size();
  evict_over_bounds();
  return executable;
}

void Cache::evict_over_bounds() {
  // The newest entry stays even if it is over the bound alone: it is about to run.
  while (entries_.size() > 1 && (entries_.size() > info_.max_entries || info_.bytes > info_.max_bytes)) {
    const auto oldest = std::prev(entries_.end());
    const auto [first, last] = by_hash_.equal_range(oldest->hash);
    for (auto it = first; it != last; ++it) {
      if (it->second == oldest) {
        by_hash_.erase(it);
        break;
      }
    }
    info_.bytes -= oldest->bytes;
    entries_.pop_back();
    info_.entries = entries_.size();
    ++info_.evictions;
  }
}

void Cache::clear() {
  std::lock_guard<std::mutex> lock(mutex_);
  by_hash_.clear();
  entries_.clear();
  info_.bytes = 0;
  info_.entries = 0;
}

CacheInfo Cache::info() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return info_;
}

}  // namespace mps
