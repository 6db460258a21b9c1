// What activations and their gradients are made of.
#pragma once

#include <initializer_list>

#include "kernels/graphs/function.h"
#include "plugin/core/graph.h"

namespace mps::graphs {

// -- parts of the line -----------------------------------------------------------------------------------------------

inline Value is_negative(Graph& g, Value x) { return g.less_than(x, like(g, x, 0)); }
inline Value is_positive(Graph& g, Value x) { return g.greater_than(x, like(g, x, 0)); }

// A condition as 0 and 1 of x's dtype.
inline Value mask(Graph& g, Value condition, Value x) { return g.cast(condition, g.dtype(x)); }

// 1 where low < x < high, else 0.
inline Value is_between(Graph& g, Value x, Value low, Value high) {
  return mask(g, g.multiplication(g.greater_than(x, low), g.less_than(x, high)), x);
}
// 1 where |x| >= threshold, 0 elsewhere; and where |x| > threshold.
inline Value is_not_within(Graph& g, Value x, Value threshold) {
  const Value low = g.less_than_or_equal_to(x, g.negative(threshold));
  return mask(g, g.addition(low, g.greater_than_or_equal_to(x, threshold)), x);
}
inline Value is_beyond(Graph& g, Value x, Value threshold) {
  return mask(g, g.addition(g.less_than(x, g.negative(threshold)), g.greater_than(x, threshold)), x);
}
// Whether x < low or x > high.
inline Value is_outside(Graph& g, Value x, Value low, Value high) {
  return g.addition(g.less_than(x, low), g.greater_than(x, high));
}

// NaN stays NaN, and of equal numbers x is taken.
inline Value clamp(Graph& g, Value x, Value low, Value high) {
  const Value raised = g.select(g.less_than(x, low), low, x);
  return g.select(g.greater_than(raised, high), high, raised);
}

// A number in the shape of a tensor.
inline Value like_shape(Graph& g, Value number, Value x) { return g.broadcast(number, Shape(g.shape(x))); }

// c0 + c1 x + c2 x^2 ...
inline Value polynomial(Graph& g, Value x, std::initializer_list<double> coefficients) {
  const double* c = coefficients.end();
  Value sum = like(g, x, *--c);
  while (c != coefficients.begin()) sum = g.addition(g.multiplication(sum, x), like(g, x, *--c));
  return sum;
}

// -- activations -----------------------------------------------------------------------------------------------------

// d/dx x s(x) = s(x) (1 + x (1 - s(x))), with s the sigmoid.
inline Value silu_gradient(Graph& g, Value x, Value dout) {
  const Value s = g.sigmoid(x);
  const Value one = g.constant(1, g.dtype(x));
  const Value slope = g.addition(one, g.multiplication(x, g.subtraction(one, s)));
  return g.multiplication(dout, g.multiplication(s, slope));
}

inline constexpr double kRootOfHalf = 0.70710678118654752440;
inline constexpr double kOneOverRootOfTwoPi = 0.39894228040143267794;
inline constexpr double kRootOfTwoOverPi = 0.79788456080286535588;
inline constexpr double kGeluCube = 0.044715;

// (1 + erf(x / sqrt(2))) / 2, the part of the normal distribution below x.
inline Value normal_below(Graph& g, Value x) {
  const Value e = g.erf(g.multiplication(x, like(g, x, kRootOfHalf)));
  return g.multiplication(g.addition(e, like(g, x, 1)), like(g, x, 0.5));
}
inline Value gelu_of_erf(Graph& g, Value x) { return g.multiplication(x, normal_below(g, x)); }
inline Value gelu_of_erf_slope(Graph& g, Value x) {
  const Value density = g.exponent(g.multiplication(g.square(x), like(g, x, -0.5)));
  const Value steep = g.multiplication(g.multiplication(x, like(g, x, kOneOverRootOfTwoPi)), density);
  return g.addition(normal_below(g, x), steep);
}

// tanh(sqrt(2 / pi) (x + 0.044715 x^3))
inline Value gelu_tanh(Graph& g, Value x) {
  const Value cube = g.multiplication(g.multiplication(g.square(x), x), like(g, x, kGeluCube));
  return g.tanh(g.multiplication(g.addition(x, cube), like(g, x, kRootOfTwoOverPi)));
}
inline Value gelu_of_tanh(Graph& g, Value x) {
  const Value half = g.multiplication(x, like(g, x, 0.5));
  return g.multiplication(half, g.addition(gelu_tanh(g, x), like(g, x, 1)));
}
inline Value gelu_of_tanh_slope(Graph& g, Value x) {
  const Value t = gelu_tanh(g, x), half = like(g, x, 0.5), one = like(g, x, 1);
  const Value inner = g.multiplication(g.addition(g.multiplication(g.square(x), like(g, x, 3 * kGeluCube)), one),
                                       like(g, x, kRootOfTwoOverPi));
  const Value steep = g.multiplication(g.multiplication(x, half), g.multiplication(one_minus_square(g, t), inner));
  return g.addition(g.multiplication(g.addition(t, one), half), steep);
}

// log(1 + exp(beta x)) / beta, and x itself above the threshold.
inline Value softplus(Graph& g, Value x, Value threshold) {
  return g.select(g.greater_than(x, threshold), x, g.log1p(g.exponent(x)));
}
inline Value softplus(Graph& g, Value x, Value beta, Value threshold) {
  const Value scaled = g.multiplication(x, beta);
  return g.select(g.greater_than(scaled, threshold), x, g.division(g.log1p(g.exponent(scaled)), beta));
}

// d/dx x t with t = tanh(softplus(x)): t + x (1 - t^2) sigmoid(x).
inline Value mish_slope(Graph& g, Value x, Value threshold) {
  const Value plus = softplus(g, x, threshold);
  const Value t = g.tanh(plus);
  const Value slope = g.negative(g.expm1(g.negative(plus)));
  return g.addition(t, g.multiplication(x, g.multiplication(one_minus_square(g, t), slope)));
}

// What is left of x once as much of it as lies between -lambda and lambda is taken away; NaN of an infinity, as on the
// CPU device.
inline Value softshrink(Graph& g, Value x, Value lambda) {
  const Value below = g.negative(lambda), high = g.select(g.less_than(x, below), below, x);
  const Value inside = g.select(g.greater_than(high, lambda), lambda, high);
  return g.addition(g.multiplication(x, like(g, x, 0)), g.subtraction(x, inside));
}

// x - tanh(x); where the difference cancels, a minimax fit of (x - tanh(x)) / x^3 in x^2 gives it. The constant 0 is
// for the factor x^2.
inline Value tanh_shrink(Graph& g, Value x) {
  const Value z = g.square(x);
  const Value p = polynomial(
      g, z, {0, 0.333333332, -0.133333183, 0.0539641804, -0.0218277039, 0.00865515122, -0.00304046663, 0.000665722227});
  const Value near = g.multiplication(x, p);
  return g.select(g.less_than(z, like(g, x, 0.6)), near, g.subtraction(x, g.tanh(x)));
}

// 0 up to -3, exactly 1 from 3 on, and (x + 3) / 6 between: by a product, since a division would outlast the memory.
inline Value hardswish_gate(Graph& g, Value x) {
  const Value moved = clamp(g, g.addition(x, like(g, x, 3)), like(g, x, 0), like(g, x, 6));
  return g.multiplication(moved, like(g, x, 1.0 / 6));
}

// 0 up to -3, 1 from 3 on, and (2 x + 3) / 6 between.
inline Value hardswish_slope(Graph& g, Value x) {
  const Value moved = g.addition(x, like(g, x, 3));
  const Value below = mask(g, g.less_than(moved, like(g, x, 6)), x), above = mask(g, is_positive(g, moved), x);
  const Value slope = g.division(g.addition(g.addition(x, x), like(g, x, 3)), like(g, x, 6));
  const Value inner = g.addition(g.multiplication(slope, below), g.subtraction(like(g, x, 1), below));
  return g.multiplication(above, inner);
}

// log(x / (1 - x)); around 1/2 as log1p of (2 x - 1) / (1 - x). NaN outside of [0, 1].
inline Value logit(Graph& g, Value x) {
  const Value one = like(g, x, 1), rest = g.subtraction(one, x);
  const Value middle = g.log1p(g.division(g.subtraction(g.addition(x, x), one), rest));  // 2 x - 1 is exact there
  const Value far = g.logarithm(g.division(x, rest));
  const Value is_near = g.less_than(g.absolute(g.subtraction(x, like(g, x, 0.5))), like(g, x, 0.25));
  return g.select(is_near, middle, far);
}
inline Value logit_gradient(Graph& g, Value x, Value dout) {
  const Value one = like(g, x, 1);
  const Value result = g.division(dout, g.multiplication(g.subtraction(one, x), x));
  const Value nan = like(g, x, std::numeric_limits<double>::quiet_NaN());
  return g.select(is_outside(g, x, like(g, x, 0), one), nan, result);
}

// d/dx x^y = y x^(y - 1), which is 0 for y = 0, whatever x is.
inline Value pow_gradient(Graph& g, Value x, Value dout, Value factor, Value factor_less_1) {
  const Value slope = g.multiplication(factor, g.power(x, factor_less_1));
  const Value result = g.multiplication(dout, slope);
  return g.select(g.equal(factor, like(g, factor, 0)), like(g, x, 0), result);
}

}  // namespace mps::graphs
