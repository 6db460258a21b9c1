// Complex numbers as pairs of real ones: Metal has no complex dtype, and a tensor of complex64 lies in memory as
// float32 with one more axis of two.
#pragma once

#include <limits>

#include "kernels/graphs/broadcast.h"
#include "kernels/graphs/function.h"
#include "kernels/graphs/lines.h"
#include "plugin/core/graph.h"

namespace mps::graphs {

struct Complex {
  Value re, im;
};

// `pairs` is [shape..., 2].
inline Complex from_pairs(Graph& g, Value pairs) {
  const Shape all(g.shape(pairs));
  const Shape shape(Dims(all.data(), all.size() - 1));
  const auto part = [&](int64_t at) { return g.reshape(slice_axis(g, pairs, shape.size(), at, 1), shape); };
  return {part(0), part(1)};
}

inline Value to_pairs(Graph& g, Complex x) {
  Shape shape(g.shape(x.re));
  shape.push_back(1);
  return g.concatenation({g.reshape(x.re, shape), g.reshape(x.im, shape)}, static_cast<int64_t>(shape.size()) - 1);
}

inline Complex conjugate(Graph& g, Complex x) { return {x.re, g.negative(x.im)}; }
inline Complex addition(Graph& g, Complex x, Complex y) { return {g.addition(x.re, y.re), g.addition(x.im, y.im)}; }
inline Complex subtraction(Graph& g, Complex x, Complex y) {
  return {g.subtraction(x.re, y.re), g.subtraction(x.im, y.im)};
}

// Any product of two real values makes the product of two complex ones.
template <typename Product>
Complex product_by_parts(Graph& g, Complex x, Complex y, Product product) {
  return {g.subtraction(product(x.re, y.re), product(x.im, y.im)),
          g.addition(product(x.re, y.im), product(x.im, y.re))};
}
inline Complex multiplication(Graph& g, Complex x, Complex y) {
  return product_by_parts(g, x, y, [&](Value a, Value b) { return g.multiplication(a, b); });
}

// By the conjugate over the square of the size, both scaled so that neither overflows where the quotient does not.
inline Complex division(Graph& g, Complex x, Complex y) {
  const Value size = g.addition(g.absolute(y.re), g.absolute(y.im));
  const Complex unit = {g.division(y.re, size), g.division(y.im, size)};
  const Complex part = {g.division(x.re, size), g.division(x.im, size)};
  const Value square = g.addition(g.square(unit.re), g.square(unit.im));
  const Complex product = multiplication(g, part, conjugate(g, unit));
  return {g.division(product.re, square), g.division(product.im, square)};
}

// The size; its square may overflow where it does not itself.
inline Value absolute(Graph& g, Complex x) {
  const Value re = g.absolute(x.re), im = g.absolute(x.im);
  const Value most = g.maximum(re, im), least = g.minimum(re, im);
  const Value ratio = g.division(least, most);
  const Value size = g.multiplication(most, g.square_root(g.addition(g.square(ratio), like(g, ratio, 1))));
  const Value infinity = like(g, most, std::numeric_limits<double>::infinity());
  const Value is_plain = g.multiplication(g.greater_than(most, like(g, most, 0)), g.less_than(most, infinity));
  return g.select(is_plain, size, most);  // nothing, infinity and NaN are what they are
}

}  // namespace mps::graphs
