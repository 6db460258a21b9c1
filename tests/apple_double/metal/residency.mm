#include "tests/apple_double/metal/residency.h"

#include <mutex>
#include <vector>

#include "tests/apple_double/base/object.h"
#include "tests/apple_double/metal/device.h"
#include "tests/apple_double/metal/memory.h"

namespace apple_double {
namespace {

size_t find(const std::vector<Kept<id>>& list, id object) {
  size_t i = 0;
  while (i < list.size() && list[i].get() != object) ++i;
  return i;
}

}  // namespace

struct ResidencySetState {
  std::mutex mutex;
  Kept<NSString*> label;
  std::vector<Kept<id>> staged, committed;  // what was said, and what holds
  int requests = 0;
  size_t bytes() const {
    size_t sum = 0;
    for (const Kept<id>& one : committed) {
      sum += [one.get() isKindOfClass:[DoubleHeap class]] ? state<HeapState>(one).size : state<BufferState>(one).length;
    }
    return sum;
  }
};

DoubleResidencySet* new_residency_set(MTLResidencySetDescriptor* descriptor) {
  DoubleResidencySet* const set = [[DoubleResidencySet alloc] init];
  state<ResidencySetState>(set).label = descriptor.label;
  return set;
}

}  // namespace apple_double

using namespace apple_double;

@implementation DoubleResidencySet
APPLE_DOUBLE_STATE(ResidencySetState)
APPLE_DOUBLE_READONLY(ResidencySetState, NSString*, label)

- (id<MTLDevice>)device {
  return given(the_device());
}
- (void)addAllocation:(id<MTLAllocation>)allocation {
  ResidencySetState& set = state<ResidencySetState>(self);
  const bool heap = [(id)allocation isKindOfClass:[DoubleHeap class]];
  require(heap || [(id)allocation isKindOfClass:[DoubleBuffer class]],
          "addAllocation: expected a heap or a buffer, got ", public_name(allocation), ".");
  require(heap || state<BufferState>(allocation).heap.get() == nil,
          "addAllocation: of a buffer of a heap: the heap is the allocation.");
  const std::lock_guard<std::mutex> lock(set.mutex);
  if (find(set.staged, allocation) == set.staged.size()) set.staged.push_back((id)allocation);
}
- (void)addAllocations:(const id<MTLAllocation>*)allocations count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; ++i) [self addAllocation:allocations[i]];
}
- (void)removeAllocation:(id<MTLAllocation>)allocation {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  const size_t at = find(set.staged, allocation);
  if (at < set.staged.size()) set.staged.erase(set.staged.begin() + static_cast<ptrdiff_t>(at));
}
- (void)removeAllocations:(const id<MTLAllocation>*)allocations count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; ++i) [self removeAllocation:allocations[i]];
}
- (void)removeAllAllocations {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  set.staged.clear();
}
- (BOOL)containsAllocation:(id<MTLAllocation>)allocation {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  return find(set.committed, allocation) < set.committed.size();
}
- (void)commit {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  set.committed = set.staged;
}
- (NSUInteger)allocationCount {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  return set.committed.size();
}
- (uint64_t)allocatedSize {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  return set.bytes();
}
- (NSArray<id<MTLAllocation>>*)allAllocations {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  NSMutableArray* const all = [NSMutableArray array];
  for (const Kept<id>& one : set.committed) [all addObject:one];
  return all;
}
- (void)requestResidency {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  ++set.requests;
}
- (void)endResidency {
  ResidencySetState& set = state<ResidencySetState>(self);
  const std::lock_guard<std::mutex> lock(set.mutex);
  require(set.requests-- > 0, "endResidency without requestResidency.");
}
@end
