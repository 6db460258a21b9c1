// How much memory the processor's caches hold, for those who choose between writing through and past them.
#pragma once

#include <cstddef>

namespace mps {

// Bytes of the last-level cache; a guess where the system does not say.
size_t cache_bytes();

}  // namespace mps
