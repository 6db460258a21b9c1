// Our memory in the place of Paddle's cache of idle blocks.
//
// Paddle keeps a cache above every plugin (auto_growth). With a second one below it, each tensor would lie somewhere
// inside a block of ours, a block would be freed long after its last tensor, and nobody would know which streams use
// it. So the cache is taken out: Paddle's statistics stay on top, our memory comes right below. See
// docs/architecture.md, "One cache", for what that was measured to be worth.
#pragma once

#include "plugin/core/device.h"

namespace mps::paddle {

// Puts our memory in its place, for this device and this new stream; does nothing if it is there, or if
// PADDLE_MPS_ALLOCATOR=paddle. Called when a stream is made: a context has one before it allocates, and only one thread
// knows that context then. Later, another thread could be inside the cache that goes.
void replace_paddle_cache(int device, Stream& stream);
// Whether our memory is in its place; before the first allocation, whether it is meant to be.
bool keeps_idle_memory(int device);

// While it lives, what this thread allocates is for the work of this stream.
class AllocationScope {
 public:
  explicit AllocationScope(const Stream& stream);
  ~AllocationScope();
  AllocationScope(const AllocationScope&) = delete;
  AllocationScope& operator=(const AllocationScope&) = delete;

 private:
  const Stream* const before_;
};

}  // namespace mps::paddle
