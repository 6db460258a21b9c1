// The settings of double.h, as the double reads them.
#pragma once

#include <cstdint>

#include "tests/apple_double/double.h"

namespace apple_double {

bool os_at_least(int major, int minor);

// What the machine has, or what set_memory_bytes() says.
uint64_t memory_bytes();

// Sleeps for a random time within the limit of set_delay_us().
void delay();
int64_t patience_ms();

// The error that fail_command_buffer() asked for, for a command buffer that is committed now; 0: none.
int64_t take_failure();

// A number from a generator that is seeded once per process, the same one each time.
uint64_t random_number();

}  // namespace apple_double
