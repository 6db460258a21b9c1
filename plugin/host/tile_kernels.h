// Products of float32 matrices in the tiles of processors with AMX, which multiply bfloat16 sixteen times as fast as
// vectors multiply float32. A float32 is the sum of three bfloat16, its pieces; of the nine products of the pieces of
// two numbers, six matter in float32 (Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence
// Datatype For Higher-Precision Computations, 2019). Numbers must be moderate (is_moderate()) or brought near 1 by
// exponents: tiles take small ones for zero.
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

// How a strip's lines lie, rows of x or columns of w: each with its inner elements side by side and lines `stride`
// apart, or lines side by side and inner elements `stride` apart.
enum class TileLines { kAlong, kAcross };

// Memory that is wanted soon: `spans` of `lines` lines of 64 bytes, `stride` bytes apart.
struct TileAhead {
  const void* at = nullptr;
  int64_t spans = 0, lines = 0, stride = 0;
};

struct TileKernels {
  // For each of up to kTileStrip lines, the power of two that its largest number begins with, kept between -126 and
  // 126, or 0 if all are 0. False if a number is not finite.
  bool (*find_exponents)(const float* from, TileLines lines, int64_t stride, int64_t count, int64_t inner,
                         float* exponents);
  // The strip of up to kTileStrip rows, or columns, of `inner` floats. What is missing is 0. With exponents, of each
  // number times 2 to the minus exponent of its line.
  void (*pack_rows)(const float* x, TileLines lines, int64_t stride, int64_t rows, int64_t inner, int pieces,
                    const float* exponents, uint16_t* to);
  void (*pack_columns)(const float* w, TileLines lines, int64_t stride, int64_t columns, int64_t inner, int pieces,
                       const float* exponents, uint16_t* to);
  // to[i, j] = or += the products of strips of x and w, which lie one after the other, as do their exponents: both are
  // null, or kTileStrip for each strip. What is ahead is brought into the second-level cache meanwhile.
  void (*multiply)(const uint16_t* x, const float* x_exponents, int64_t rows, const uint16_t* w,
                   const float* w_exponents, int64_t columns, int64_t inner, TilePieces pieces, bool adds, float* to,
                   int64_t to_row, const TileAhead& ahead);
};

// Null if this processor has no tiles, or the system does not let us use them.
const TileKernels* tile_kernels();

// Whether all of them are 0 or between 2^-30 and 2^30 ..
bool is_moderate(const float* numbers, int64_t count);
// .. or the largest of every row is.
bool rows_are_moderate(const float* x, int64_t rows, int64_t inner);

}  // namespace mps
