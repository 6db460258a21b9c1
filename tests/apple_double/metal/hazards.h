// Which bytes of untracked buffers are read and written by work that is not done. For tracked ones Metal itself sees to
// the order; two passes that touch the same bytes of an untracked one, one of them writing, run at once unless a fence
// or an event orders them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace apple_double {

struct Touch {
  const char* begin;
  size_t size;
  bool writes;
  const void* command_buffer;
  uint64_t pass;  // of the command buffer: each encoder is one, each MPSGraph as well
};

// A violation if it meets one that is not done. `ordered`: this pass waits for a fence or an event; then nothing is
// said.
void note_touch(const Touch& touch, bool ordered, const char* what);
void forget_touches(const void* command_buffer);

}  // namespace apple_double
