#include "plugin/core/interrupt.h"

#include <atomic>
#include <utility>

#include "plugin/core/check.h"

namespace mps {
namespace {

thread_local int t_depth = 0;  // of Interruptible scopes
std::atomic<InterruptCheck> g_check{nullptr};

}  // namespace

Interruptible::Interruptible() { ++t_depth; }
Interruptible::~Interruptible() { --t_depth; }

Uninterruptible::Uninterruptible() : depth_(std::exchange(t_depth, 0)) {}
Uninterruptible::~Uninterruptible() { t_depth = depth_; }

bool is_interruptible() { return t_depth > 0; }

void set_interrupt_check(InterruptCheck check) { g_check.store(check); }

void check_interrupt() {
  if (!is_interruptible()) return;
  const InterruptCheck check = g_check.load();
  MPS_CHECK(check == nullptr || !check(), kInterrupted,
            "the wait was interrupted: expected the work to be done first, got a signal. Wait again for the rest.");
}

}  // namespace mps
