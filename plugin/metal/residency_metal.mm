#include "plugin/metal/residency_metal.h"

#include <algorithm>

#include "plugin/core/env.h"
#include "plugin/core/log.h"
#include "plugin/metal/os.h"

namespace mps {
namespace {

constexpr size_t kMostSets = 32;
constexpr uint64_t kLeastShare = uint64_t{64} << 20;

bool has_sets(id<MTLDevice> device) {
  if (!env::residency()) return false;
  if (MPS_AVAILABLE(15, 0)) return [device supportsFamily:MTLGPUFamilyMetal3];
  return false;
}

}  // namespace

Residency::Residency(id<MTLDevice> device)
    : device_(retain(device)),
      enabled_(has_sets(device)),
      share_(std::max(kLeastShare, [device recommendedMaxWorkingSetSize] / 20)) {}

// The set with the most room, or a new one if it has none; null if the system gives none.
Residency::Set* Residency::roomiest() {
  const auto least =
      std::min_element(sets_.begin(), sets_.end(), [](const Set& a, const Set& b) { return a.bytes < b.bytes; });
  if (least != sets_.end() && (least->bytes < share_ || sets_.size() == kMostSets)) return &*least;
  if (MPS_AVAILABLE(15, 0)) {
    NSError* error = nil;
    const auto descriptor = adopt([[MTLResidencySetDescriptor alloc] init]);
    const auto set = adopt([device_.get() newResidencySetWithDescriptor:descriptor.get() error:&error]);
    if (!set) {
      MPS_LOG(kWarning, "the system refused a residency set: ", text_of([error localizedDescription]));
      return nullptr;
    }
    for (const auto& queue : queues_) [queue.get() addResidencySet:set.get()];
    sets_.push_back({Ref<id>::retain(set.get()), 0});
  }
  return &sets_.back();
}

void Residency::add(id<MTLHeap> heap) {
  if (!enabled_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (MPS_AVAILABLE(15, 0)) {
    Set* const chosen = roomiest();
    if (chosen == nullptr) return;
    const id<MTLResidencySet> set = chosen->set.get();
    [set addAllocation:heap];
    [set commit];
    [set requestResidency];
    chosen->bytes += [heap size];
  }
}

void Residency::remove(id<MTLHeap> heap) {
  if (!enabled_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (MPS_AVAILABLE(15, 0)) {
    for (Set& entry : sets_) {
      const id<MTLResidencySet> set = entry.set.get();
      if (![set containsAllocation:heap]) continue;
      [set removeAllocation:heap];
      [set commit];
      entry.bytes -= [heap size];
    }
  }
}

void Residency::attach(id<MTLCommandQueue> queue) {
  if (!enabled_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  queues_.push_back(retain(queue));
  if (MPS_AVAILABLE(15, 0)) {
    for (const Set& set : sets_) [queue addResidencySet:set.set.get()];
  }
}

void Residency::detach(id<MTLCommandQueue> queue) {
  if (!enabled_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (MPS_AVAILABLE(15, 0)) {
    for (const Set& set : sets_) [queue removeResidencySet:set.set.get()];
  }
  queues_.erase(std::remove_if(queues_.begin(), queues_.end(), [&](const auto& other) { return other.get() == queue; }),
                queues_.end());
}

void Residency::relax() {
  if (!enabled_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (MPS_AVAILABLE(15, 0)) {
    for (const Set& set : sets_) [set.set.get() endResidency];
  }
}

}  // namespace mps
