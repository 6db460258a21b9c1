// Which macOS this is. What is newer than macOS 12 is used under
//
//   if (MPS_AVAILABLE(15, 0)) { ... }
//
// and nowhere else: the compiler for macOS refuses it (-Wunguarded-availability), the test double for Linux does not
// know it (PADDLE_MPS_DOUBLE_OS says which release it plays).
#pragma once

namespace mps {

// Whether this is macOS major.minor or newer. Where a newer class or method is named, use the macro instead.
bool os_at_least(int major, int minor);

// Seconds on the clock of MTLCommandBuffer's GPUEndTime.
double gpu_clock();

}  // namespace mps

#ifdef __APPLE__
#define MPS_AVAILABLE(major, minor) @available(macOS major##.##minor, *)
#else
#define MPS_AVAILABLE(major, minor) ::mps::os_at_least(major, minor)
#endif
