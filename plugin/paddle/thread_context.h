// A current stream per thread.
//
// Paddle keeps a device's current stream in the device's context, which all threads share: while one thread has made a
// stream current, the ops of every other thread go there too, unordered with what those threads did before. Paddle also
// lets a thread have contexts of its own (DeviceContextPool::SetDeviceContexts), and everything that asks the pool then
// sees the thread's. Its eager ops do not ask: they keep the first context they got. So every kernel of ours asks here
// which context is this thread's (register.h).
#pragma once

#include "paddle/phi/backends/custom/custom_context.h"
#include "plugin/core/device.h"

namespace mps::paddle {

// Gives this thread a context of its own for the device, until as many calls of leave_thread_context(). Its stream is
// the device's current one; Paddle's functions to set the current stream then set this thread's alone.
void enter_thread_context(int device);
// Throws kArgument if this thread has not entered.
void leave_thread_context(int device);

namespace detail {
extern __thread int t_own_contexts;  // not thread_local: that would be a call at every use
const phi::CustomContext& own_context(const phi::CustomContext& shared);
}  // namespace detail

// The context that this thread's ops run in, given the one that Paddle passes.
inline const phi::CustomContext& thread_context(const phi::CustomContext& ctx) {
  return __builtin_expect(detail::t_own_contexts == 0, 1) ? ctx : detail::own_context(ctx);
}

// Whether this thread has a context of its own for some device.
inline bool has_thread_context() { return detail::t_own_contexts != 0; }

// The stream that ops of this thread run on now.
Stream& current_stream(int device);

}  // namespace mps::paddle
