// Residency sets (macOS 15): heaps that stay mapped for the GPU, so that command buffers need not bring them in one by
// one, and the first work after a pause not all of them. PADDLE_MPS_RESIDENCY=0 leaves it to the system.
//
// Several sets, since the system evicts a set as a whole (ml-explore/mlx#4211); a queue takes at most 32.
#pragma once

#import <Metal/Metal.h>

#include <mutex>
#include <vector>

#include "plugin/metal/objc.h"

namespace mps {

// One per device. Thread-safe. Does nothing where there are no such sets.
class Residency {
 public:
  explicit Residency(id<MTLDevice> device);

  void add(id<MTLHeap> heap);
  void remove(id<MTLHeap> heap);
  // Queues whose work uses the heaps.
  void attach(id<MTLCommandQueue> queue);
  void detach(id<MTLCommandQueue> queue);
  // The system is short of memory: it may take what the GPU is not using, until the next heap is added.
  void relax();

 private:
  struct Set {
    Ref<id> set;  // an MTLResidencySet, a name that macOS 12 does not know
    uint64_t bytes;
  };
  Set* roomiest();

  const Ref<id<MTLDevice>> device_;
  const bool enabled_;
  const uint64_t share_;  // bytes of a set
  std::mutex mutex_;
  std::vector<Set> sets_;
  std::vector<Ref<id<MTLCommandQueue>>> queues_;
};

}  // namespace mps
