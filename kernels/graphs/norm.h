// Norms along axes, and their derivatives.
#pragma once

#include <cmath>

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// |x|^p for |x| >= 0. Of 0 it is 0, or infinite for p < 0.
inline Value power_of_magnitude(Graph& g, Value magnitude, float p) {
  if (p == 1) return magnitude;
  if (p == 2) return g.square(magnitude);
  if (p == 0.5f) return g.square_root(magnitude);
  if (p == -1) return g.reciprocal(magnitude);
  return g.exponent(g.multiplication(number(g, magnitude, p), g.logarithm(magnitude)));
}

// The p-norm of float32 values along the axes, which stay with size 1. For p = 0 it counts what is not 0.
inline Value p_norm(Graph& g, Value values, float p, Dims axes) {
  const Value magnitude = g.absolute(values);
  if (g.elements(values) == 0) return g.reduction_sum(magnitude, axes);
  if (p == 0) {
    return g.reduction_sum(g.cast(g.not_equal(values, number(g, values, 0)), g.dtype(values)), axes);
  }
  if (std::isinf(p)) {
    return g.reduction(p > 0 ? NodeKind::reduction_maximum : NodeKind::reduction_minimum, magnitude, axes);
  }
  if (p == 2) return g.square_root(g.reduction_sum(g.square(values), axes));
  return power_of_magnitude(g, g.reduction_sum(power_of_magnitude(g, magnitude, p), axes), 1 / p);
}

// The derivative of the norm by each of the values: sign(x) (|x| / norm)^(p - 1), which lies between 0 and 1 for p > 1.
// Where x is 0 it is 0.
inline Value p_norm_slope(Graph& g, Value values, Value norm, float p) {
  const Value zero = number(g, values, 0);
  if (p == 0 || g.elements(values) == 0) return zeros(g, g.dtype(values), Shape(g.shape(values)));
  if (p == 1) return g.sign(values);
  const Value magnitude = g.absolute(values);
  if (std::isinf(p)) return g.select(g.equal(magnitude, norm), g.sign(values), zero);
  const Value share = p == 2
                          ? g.division(values, norm)
                          : g.multiplication(g.sign(values), power_of_magnitude(g, g.division(magnitude, norm), p - 1));
  return g.select(g.equal(values, zero), zero, share);
}

}  // namespace mps::graphs
