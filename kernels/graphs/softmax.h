// Softmax and its logarithm along axes, and their gradients. In float32, whatever the result's dtype.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// exp(x - greatest), its sum, and what stands in the exponent: nothing overflows.
struct Softmax {
  Value greatest, shifted, part, sum;
};

inline Softmax softmax_parts(Graph& g, Value x, Dims axes) {
  const Value greatest = g.reduction(NodeKind::reduction_maximum, x, axes);
  const Value shifted = g.subtraction(x, greatest), part = g.exponent(shifted);
  return {greatest, shifted, part, g.reduction_sum(part, axes)};
}

inline Value softmax(Graph& g, Value x, Dims axes) {
  const Softmax parts = softmax_parts(g, x, axes);
  return g.division(parts.part, parts.sum);
}

inline Value log_softmax(Graph& g, Value x, Dims axes) {
  const Softmax parts = softmax_parts(g, x, axes);
  return g.subtraction(parts.shifted, g.logarithm(parts.sum));
}

// y (dy - sum(y dy))
inline Value softmax_gradient(Graph& g, Value y, Value dy, Dims axes) {
  return g.multiplication(y, g.subtraction(dy, g.reduction_sum(g.multiplication(y, dy), axes)));
}

// dy - exp(y) sum(dy)
inline Value log_softmax_gradient(Graph& g, Value y, Value dy, Dims axes) {
  return g.subtraction(dy, g.multiplication(g.exponent(y), g.reduction_sum(dy, axes)));
}

}  // namespace mps::graphs
