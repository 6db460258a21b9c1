// Memory that a stream uses but does not own.
//
// Paddle's allocator hands memory out again as soon as its tensor is gone, to the stream that the memory was allocated
// on: what that stream does later comes after what it did with the tensor. It does not come after what another stream
// still does with it. So when an op runs on another stream than the one its tensors' memory belongs to, the memory is
// held until that stream has done the op. (Paddle's RecordStream is for this, but nobody calls it for custom devices,
// and it starts a thread each time.)
//
// Programs that compute on one stream pay for one comparison per op.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"
#include "paddle/utils/optional.h"
#include "plugin/core/device.h"

namespace mps::paddle {

namespace detail {

constexpr size_t kDevicesWatched = 16;
// Per device: null, then the stream that Paddle's default allocator serves, and a pointer to nobody's after an op ran
// on another one.
extern std::array<std::atomic<void*>, kDevicesWatched> g_only_stream;
bool is_second_stream(size_t device, void* stream);

void hold(const phi::CustomContext& ctx, const phi::DenseTensor& tensor);
inline void hold(const phi::CustomContext& ctx, const phi::DenseTensor* tensor) {
  if (tensor != nullptr) hold(ctx, *tensor);
}
inline void hold(const phi::CustomContext& ctx, const ::paddle::optional<phi::DenseTensor>& tensor) {
  if (tensor) hold(ctx, tensor.get());
}
template <typename Tensor>
void hold(const phi::CustomContext& ctx, const std::vector<Tensor*>& tensors) {
  for (const Tensor* tensor : tensors) hold(ctx, tensor);
}
template <typename Attribute>
void hold(const phi::CustomContext&, const Attribute&) {}

}  // namespace detail

// Called after an op was submitted to the context's stream, with its arguments.
template <typename... Args>
void hold_foreign_memory(const phi::CustomContext& ctx, const Args&... args) {
  const auto device = static_cast<size_t>(ctx.GetPlace().GetDeviceId());
  void* const stream = ctx.stream();
  if (device < detail::kDevicesWatched) {
    if (detail::g_only_stream[device].load(std::memory_order_relaxed) == stream) return;
    if (!detail::is_second_stream(device, stream)) return;
  }
  (detail::hold(ctx, args), ...);
}

// Whether ops of the device have run on other streams than the one it began with.
bool uses_several_streams(int device);

// Lets go of memory whose use is over; with a stream, of all that is held for it, since it is being destroyed. Not to
// be called while Paddle allocates: its allocator would wait for itself.
void release_held_memory(const Stream* destroyed = nullptr);

}  // namespace mps::paddle
