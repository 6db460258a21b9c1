// The time between two events.
#pragma once

#include "plugin/core/device.h"

namespace mps {

// Milliseconds from the moment at which `start` was reached to that of `end`; negative if `end` came first. Both belong
// to one device. Throws kArgument if one of them is not reached yet, or has no moment because it was never recorded
// with timing on. Does not wait.
double elapsed_ms(const Event& start, const Event& end);

}  // namespace mps
