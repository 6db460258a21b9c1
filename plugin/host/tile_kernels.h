// Products of float32 matrices in the tiles of processors with AMX, which multiply bfloat16 sixteen times as fast as
// vectors multiply float32. A float32 is the sum of three bfloat16, its pieces; of the nine products of the pieces of
// two numbers, six matter in float32. Numbers must be moderate (is_moderate()): tiles take small ones for zero.
#pragma once

#include <cstdint>

#include "plugin/core/dtype.h"

namespace mps {

// Rows of x and columns of w that are multiplied at a time, and inner elements of one step.
constexpr int64_t kTileStrip = 32, kTileStep = 32;

// How many pieces are kept: all that activations of `dtype` have, and of weights what shows in a result of it.
struct TilePieces {
  int x, w;
};
constexpr TilePieces tile_pieces(DType dtype) {
  return dtype == DType::bfloat16 ? TilePieces{1, 2} : dtype == DType::float16 ? TilePieces{2, 2} : TilePieces{3, 3};
}

constexpr int64_t tile_steps(int64_t inner) { return (inner + kTileStep - 1) / kTileStep; }
// Elements of a packed strip.
constexpr int64_t strip_elements(int64_t inner, int pieces) {
  return tile_steps(inner) * kTileStrip * kTileStep * pieces;
}

struct TileKernels {
  // The strip of up to kTileStrip rows of `inner` floats, `stride` apart. What is missing is 0.
  void (*pack_rows)(const float* x, int64_t stride, int64_t rows, int64_t inner, int pieces, uint16_t* to);
  // The strip of up to kTileStrip columns: each of `inner` floats side by side, columns `stride` apart ..
  void (*pack_columns)(const float* w, int64_t stride, int64_t columns, int64_t inner, int pieces, uint16_t* to);
  // .. or side by side themselves, inner elements `stride` apart.
  void (*pack_rows_of_columns)(const float* w, int64_t stride, int64_t columns, int64_t inner, int pieces,
                               uint16_t* to);
  // to[i, j] = or += the products of strips of x and w, which lie one after the other.
  void (*multiply)(const uint16_t* x, int64_t rows, const uint16_t* w, int64_t columns, int64_t inner,
                   TilePieces pieces, bool adds, float* to, int64_t to_row);
};

// Null if this processor has no tiles, or the system does not let us use them.
const TileKernels* tile_kernels();

// Whether all of them are 0 or between 2^-30 and 2^30 ..
bool is_moderate(const float* numbers, int64_t count);
// .. or the largest of every row is.
bool rows_are_moderate(const float* x, int64_t rows, int64_t inner);

}  // namespace mps
