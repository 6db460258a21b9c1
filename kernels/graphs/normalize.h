// To mean 0 and variance 1 along axes: layer, batch, group and instance norm. In float32.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

inline Value mean_along(Graph& g, Value x, Dims axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= g.shape(x)[static_cast<size_t>(axis)];
  return g.division(g.reduction_sum(x, axes), number(g, x, count));
}

struct Moments {
  Value mean, variance;
};

// In two passes: the mean of squares less the square of the mean would cancel.
inline Moments moments(Graph& g, Value x, Dims axes) {
  const Value mean = mean_along(g, x, axes);
  return {mean, mean_along(g, g.square(g.subtraction(x, mean)), axes)};
}

// 1 / sqrt(variance + epsilon)
inline Value inverse_deviation(Graph& g, Value variance, double epsilon) {
  return g.reciprocal(g.square_root(g.addition(variance, number(g, variance, epsilon))));
}

// (x - mean) * inverse deviation
inline Value normalized(Graph& g, Value x, Value mean, Value inverse) {
  return g.multiplication(g.subtraction(x, mean), inverse);
}

// The gradient by x of normalized(x), for `dy` of it: mean and deviation depend on x too.
inline Value normalized_gradient(Graph& g, Value dy, Value y, Value inverse, Dims axes) {
  const Value along = g.multiplication(y, mean_along(g, g.multiplication(dy, y), axes));
  return g.multiplication(inverse, g.subtraction(g.subtraction(dy, mean_along(g, dy, axes)), along));
}

}  // namespace mps::graphs
