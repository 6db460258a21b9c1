// The host device's own threads: one pool for the process, used through parallel_for.
//
// The calling thread takes part, so the pool holds thread_count() - 1 helpers. A helper that runs out of work spins for
// some 20 us, because the next loop usually follows at once, and then sleeps. (OpenMP's helpers spin for milliseconds,
// which starves Python's thread on a machine with two cores.) While a thread waits for the device its core is free, and
// helpers spin longer: waking one takes as long as reading a megabyte. Helpers start at the first loop that wants them
// and are never joined: the process may exit while they sleep. After fork() the child starts with a pool of its own.
//
// Spare threads, such as one that waits for the device, take part like helpers. Where they are enough, helpers are not
// woken and do not spin: one thread more than there are cores delays all of them.
//
// On two cores, a loop of a background thread does not wake the helper at once while the program goes on: it would take
// the program's core, for a loop that may be over by then. After a while it is woken.
//
// Any thread may call parallel_for. The pool serves one loop at a time: a caller that finds it busy, and a caller that
// is itself inside a loop, does all of its work alone.
#pragma once

#include <cstdint>
#include <type_traits>

namespace mps {

// How many threads a loop may use, the caller included: PADDLE_MPS_HOST_THREADS (up to 256), or one per core that this
// process may run on.
int thread_count();

// Changes thread_count() for later loops. Throws kArgument unless count is at least 1.
void set_thread_count(int count);

// For as long as it lives, the calling thread does nothing but wait for the device.
class WaitingForDevice {
 public:
  WaitingForDevice();
  ~WaitingForDevice();
  WaitingForDevice(const WaitingForDevice&) = delete;
  WaitingForDevice& operator=(const WaitingForDevice&) = delete;
};

// The program goes on behind a background thread: there is more to come.
void the_device_is_given_work();

// The calling thread works behind the program's back, from now on.
void this_is_a_background_thread();

// A thread that spins until something comes for it takes part in loops meanwhile. It calls help() all the time.
class SpareThread {
 public:
  SpareThread();
  ~SpareThread();
  SpareThread(const SpareThread&) = delete;
  SpareThread& operator=(const SpareThread&) = delete;
  bool help();  // whether there was something to do
};

// Whether a loop is long enough for those who sleep. The short ones between long ones find helpers awake.
enum class Helpers { kAll, kAwake };

namespace detail {
using ParallelBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_for(int64_t count, int64_t grain, Helpers helpers, ParallelBody body, void* context);
}  // namespace detail

// Calls body(begin, end) on ranges that cover [0, count) once and begin at multiples of `grain`, on several threads at
// once; returns when all are done. The ranges depend on timing: results must not depend on them. If bodies throw, one
// of the exceptions reaches the caller, after every running body has returned.
template <typename F>
void parallel_for(int64_t count, int64_t grain, F&& body, Helpers helpers = Helpers::kAll) {
  using Body = std::remove_reference_t<F>;
  detail::parallel_for(
      count, grain, helpers,
      [](void* context, int64_t begin, int64_t end) { (*static_cast<Body*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace mps
