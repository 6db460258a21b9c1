// Broadcasting and its opposite.
#pragma once

#include "plugin/core/graph.h"

namespace mps::graphs {

// Sums `x` over the dimensions along which a tensor of `shape` was broadcast to x's shape: the
// gradient of broadcasting. float16 and bfloat16 accumulate in float32 if x comes in float32.
inline Value sum_to_shape(Graph& g, Value x, Dims shape) {
  const Shape from(g.shape(x));
  const size_t extra = from.size() - shape.size();
  Ints axes;
  for (size_t i = 0; i < from.size(); ++i) {
    if (i < extra || (shape[i - extra] == 1 && from[i] != 1)) axes.push_back(static_cast<int64_t>(i));
  }
  return g.reshape(axes.empty() ? x : g.reduction_sum(x, axes), shape);
}

// The shape with the given axes set to 1.
inline Shape keep_dims_shape(Dims shape, Dims axes) {
  Shape kept(shape);
  for (int64_t axis : axes) kept[static_cast<size_t>(axis)] = 1;
  return kept;
}

// The dtype to compute in for a result of this dtype: low-precision floats compute in float32 and
// round once.
constexpr DType compute_dtype(DType dtype) { return is_float(dtype) ? DType::float32 : dtype; }

}  // namespace mps::graphs
