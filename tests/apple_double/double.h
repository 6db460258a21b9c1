// What a test may ask of the double: which Mac it pretends to be, what goes wrong, and what is still alive. Plain C++.
//
// A mistake of the program under test is a violation: the double prints one sentence that begins with "[apple_double]"
// and aborts, as the real frameworks do (most of what they refuse is a failed assertion, not an NSError).
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace apple_double {

// -- the pretended Mac -----------------------------------------------------------------------------------------------

// PADDLE_MPS_DOUBLE_OS, for example "13.3"; 26.0 without it. Read once.
struct OsVersion {
  int major, minor;
  // 13.3 -> 1303
  int number() const { return 100 * major + minor; }
  std::string text() const { return std::to_string(major) + "." + std::to_string(minor); }
};
OsVersion os_version();

enum class Machine {
  kM2,       // a GPU of generation 14 with Metal 3
  kM4,       // a GPU of generation 16, without the defects of M1 and M2
  kVirtual,  // "Apple Paravirtual device": no Metal 3
  kNone,     // no device at all, as in a session without a screen
};
// PADDLE_MPS_DOUBLE_MACHINE: m2, m4, virtual or none; m2 without it.
Machine machine();
void set_machine(Machine machine);

// What the device says it may use, and what it gives at most. 0: of this machine.
void set_memory_bytes(uint64_t bytes);

// -- time ------------------------------------------------------------------------------------------------------------

// Command buffers start, and handlers are called, after a random delay of at most this. PADDLE_MPS_DOUBLE_DELAY_US.
void set_delay_us(int64_t delay_us);
int64_t delay_us();
// How long a wait may last until it counts as one for ever. PADDLE_MPS_DOUBLE_PATIENCE_MS; a minute without it.
void set_patience_ms(int64_t patience_ms);

// -- what goes wrong -------------------------------------------------------------------------------------------------

// A command buffer that is committed from now on ends with this MTLCommandBufferError instead of running: the next one,
// or the next but `after`.
void fail_command_buffer(int64_t error, int after = 0);
// What the system tells its memory-pressure sources: DISPATCH_MEMORYPRESSURE_*.
void raise_memory_pressure(uintptr_t level);

// -- what is alive ---------------------------------------------------------------------------------------------------

// Objects of the double by class ("MTLBuffer", "MTLCommandBuffer", "MPSGraph"); classes without any are left out.
std::map<std::string, int64_t> live_objects();
// Waits until nothing is running and all handlers were called.
void settle();
// How many signposts were emitted, by name.
std::map<std::string, int64_t> signposts();

}  // namespace apple_double
