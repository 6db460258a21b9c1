// Turning a matrix: to[row][line] = from[line][row].
#pragma once

#include <cstdint>

namespace mps {

// So many rows and lines are a tile.
template <typename T>
constexpr int64_t kTile = sizeof(T) == 1   ? 128
                          : sizeof(T) == 8 ? 32
                                           : 64;

// T: an unsigned integer of the elements' size. Strides in elements. `past_caches`: write tiles with
// VectorKernels::stream where they are whole cache lines; the caller ends the stream.
template <typename T>
void transpose_block(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t rows, int64_t lines,
                     bool past_caches);

extern template void transpose_block(uint8_t*, int64_t, const uint8_t*, int64_t, int64_t, int64_t, bool);
extern template void transpose_block(uint16_t*, int64_t, const uint16_t*, int64_t, int64_t, int64_t, bool);
extern template void transpose_block(uint32_t*, int64_t, const uint32_t*, int64_t, int64_t, int64_t, bool);
extern template void transpose_block(uint64_t*, int64_t, const uint64_t*, int64_t, int64_t, int64_t, bool);

}  // namespace mps
