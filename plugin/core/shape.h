// Shapes and strides in int64: broadcasting, axes, and contiguity. A shape has static, non-negative
// dimensions.
#pragma once

#include <cstdint>
#include <string>

#include "plugin/core/small_vector.h"

namespace mps {

inline constexpr int kMaxRank = 16;  // MPSNDArray holds at most 16 dimensions

using Ints = SmallVector<int64_t, kMaxRank>;
using Shape = Ints;
using Dims = Span<const int64_t>;

int64_t element_count(Dims shape);

// Row-major strides, in elements.
Ints contiguous_strides(Dims shape);

// True if elements with these strides lie one after the other in row-major order (dimensions of
// size 1 may have any stride).
bool is_contiguous(Dims shape, Dims strides);

// NumPy broadcasting of two shapes. Throws kArgument when they do not fit.
Shape broadcast_shapes(Dims a, Dims b);

// True if `from` broadcasts to exactly `to`.
bool broadcasts_to(Dims from, Dims to);

// An axis counted from the end becomes one counted from the front. Throws kArgument when out of
// range.
int normalize_axis(int64_t axis, size_t rank);

// `[2, 3, 4]`
std::string to_string(Dims shape);

inline bool same_shape(Dims a, Dims b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace mps
