// Compiled graphs of one device: a bounded, counted, least-recently-used cache. The key is the
// graph itself: found by its hash, then compared in full, so no two graphs are ever taken for one
// another.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "plugin/core/device.h"
#include "plugin/core/figures.h"

namespace mps {

class Cache {
 public:
  // `info`: where to count; null: where nobody else sees it.
  Cache(Device& device, uint64_t max_entries, uint64_t max_bytes, CacheInfo* info = nullptr);

  // The executable of this graph, compiled if need be. Thread-safe; two threads that miss on one
  // graph at the same time may both compile it, and one result is kept.
  std::shared_ptr<const Executable> get(const Graph& graph);
  void clear();  // executables in use live on until their work is done
  CacheInfo info() const;

 private:
  struct Entry {
    Graph graph;
    uint64_t hash;
    std::shared_ptr<const Executable> executable;
    size_t bytes;
  };
  using Entries = std::list<Entry>;  // most recently used first

  Entries::iterator find(const Graph& graph, uint64_t hash);
  void evict_over_bounds();

  Device& device_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::unordered_multimap<uint64_t, Entries::iterator> by_hash_;
  CacheInfo own_info_;
  CacheInfo& info_;
};

}  // namespace mps
