// Ending a wait early, because a signal arrived: Ctrl-C, an alarm.
//
// A signal handler of Python runs only when Python gets to run, so a thread that waits for the device has to ask now
// and then. The core does not know Python: whoever does (plugin/paddle) installs a check, which runs what handlers
// there are and tells whether one of them wants the program to go on elsewhere. Work that was waited for is not touched
// by this.
//
// Most waits can end early only in the part of the program that can cope, an Interruptible scope: not in a destructor,
// and not in the allocator.
#pragma once

#include <chrono>

namespace mps {

// Lets waits of this thread end early for the life of the scope, with an Error of kind kInterrupted.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
};

// The opposite, inside of one: for work that a waiting thread does while it waits.
class Uninterruptible {
 public:
  Uninterruptible();
  ~Uninterruptible();
  Uninterruptible(const Uninterruptible&) = delete;
  Uninterruptible& operator=(const Uninterruptible&) = delete;

 private:
  const int depth_;
};

bool is_interruptible();

// A wait asks this often.
inline constexpr std::chrono::milliseconds kInterruptPeriod{50};

// For waits, with no lock held, since a handler may use the device itself: throws kInterrupted if this thread may be
// interrupted and the check says that it is.
void check_interrupt();

// True: end the wait. Called on the waiting thread, which may be any.
using InterruptCheck = bool (*)();
void set_interrupt_check(InterruptCheck check);

}  // namespace mps
