// Activations that are more than one node, and their gradients.
#pragma once

#include "plugin/core/graph.h"

namespace mps::graphs {

// d/dx x s(x) = s(x) (1 + x (1 - s(x))), with s the sigmoid.
inline Value silu_gradient(Graph& g, Value x, Value dout) {
  const Value s = g.sigmoid(x);
  const Value one = g.constant(1, g.dtype(x));
  const Value slope = g.addition(one, g.multiplication(x, g.subtraction(one, s)));
  return g.multiplication(dout, g.multiplication(s, slope));
}

}  // namespace mps::graphs
