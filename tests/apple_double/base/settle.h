// How much work is under way anywhere in the double: what settle() of double.h waits for.
#pragma once

#include <cstdint>

namespace apple_double {

void work_begins();
void work_ends();

}  // namespace apple_double
