// Copying results into memory of the program.
#pragma once

#include <cstddef>

namespace mps::paddle {

// memcpy. Large memory of the program was mostly mapped a moment ago and never touched (the array that numpy() makes),
// so Linux is asked to back it by large pages: with small ones the page faults take several times as long as the copy.
void copy_to_host(void* to, const void* from, size_t bytes);

}  // namespace mps::paddle
