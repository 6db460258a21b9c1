// Learning which ops Paddle runs on the CPU for want of an mps kernel.
#pragma once

namespace mps::paddle {

// Starts counting through count_cpu_fallback(). Called once, before any op runs.
void install_fallback_tracking();
// Why such ops are not counted; empty if they are.
const char* fallback_tracking_problem();

}  // namespace mps::paddle
