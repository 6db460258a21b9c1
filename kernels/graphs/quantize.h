// Numbers as whole ones of a few bits, and back. A number x on a scale s becomes x / s * most, rounded, where `most` is
// the greatest whole number, 2^(bits - 1) - 1. Everything is float32; the order of its roundings is Paddle's.
#pragma once

#include "kernels/graphs/activation.h"
#include "kernels/graphs/lines.h"

namespace mps::graphs {

enum class Rounding : int {
  kTiesToEven = 0,       // and from -most - 1 on
  kTiesAwayFromZero = 1  // of what was clipped to the scale, hence from -most on
};

// Away from zero where the two whole numbers are equally near. x - trunc(x) is exact, which x + 0.5 is not.
inline Value round_away(Graph& g, Value x) {
  const Value whole = g.truncate(x);
  const Value rest = g.absolute(g.subtraction(x, whole));
  const Value is_far = g.greater_than_or_equal_to(rest, number(g, x, 0.5));
  return g.select(is_far, g.addition(whole, g.sign(x)), whole);
}

inline constexpr double kLeastScale = 1e-30;
inline constexpr double kInsteadOfZero = 1e-6;

// 1 / s; a scale of zero is taken for one that is very small.
inline Value inverse_of_scale(Graph& g, Value scale) {
  const Value nearly_zero = g.less_than_or_equal_to(scale, number(g, scale, kLeastScale));
  return g.reciprocal(g.select(nearly_zero, g.addition(scale, number(g, scale, kInsteadOfZero)), scale));
}

// `scale` broadcasts to x.
inline Value quantize(Graph& g, Value x, Value scale, Value most, Rounding rounding) {
  const Value factor = g.multiplication(most, inverse_of_scale(g, scale));
  if (rounding == Rounding::kTiesToEven) {
    const Value whole = g.rint(g.multiplication(factor, x));
    const Value least = g.negative(g.addition(most, number(g, most, 1)));
    return g.maximum(g.minimum(whole, most), least);
  }
  const Value clipped = clamp(g, x, g.negative(scale), scale);
  return round_away(g, g.multiplication(factor, clipped));
}

inline Value dequantize(Graph& g, Value whole, Value scale, Value most) {
  return g.division(g.multiplication(whole, scale), most);
}

// Those of an int8 tensor, with one scale, or with one for each place along an axis.
inline Value dequantize(Graph& g, Value whole, Value scales, int64_t axis, Value most) {
  const Shape shape(g.shape(whole)), flat{g.elements(scales)};
  const Value factors = g.reshape(scales, flat);
  if (axis >= 0) return g.division(g.dequantize(whole, factors, static_cast<size_t>(axis)), most);
  const Value line = g.reshape(whole, {1, g.elements(whole)});
  return g.division(g.reshape(g.dequantize(line, factors, 0), shape), most);
}

// The greatest magnitude over the axes, which stay with size 1; 0 of nothing. NaN is passed over.
inline Value greatest_magnitude(Graph& g, Value x, Dims axes) {
  if (g.elements(x) == 0) return zeros(g, g.dtype(x), keep_dims_shape(g.shape(x), axes));
  const Value magnitude = g.select(g.equal(x, x), g.absolute(x), number(g, x, 0));
  return g.reduction(NodeKind::reduction_maximum, magnitude, axes);
}

}  // namespace mps::graphs
