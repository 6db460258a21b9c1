// What elementary functions, their gradients and tests of numbers are made of.
#pragma once

#include <limits>

#include "plugin/core/graph.h"

namespace mps::graphs {

inline constexpr double kLn2 = 0.693147180559945309417;
inline constexpr double kLn10 = 2.30258509299404568402;
inline constexpr double kPi = 3.14159265358979323846;
inline constexpr double kTwoOverRootPi = 1.12837916709551257390;

// A constant of x's dtype.
inline Value like(Graph& g, Value x, Scalar value) { return g.constant(value, g.dtype(x)); }

inline Value zeros_like(Graph& g, Value x) { return g.constant(0, g.dtype(x), Shape(g.shape(x))); }

// The node for floats; integers are left as they are.
inline Value of_floats(Graph& g, Value x, Value (Graph::*node)(Value)) {
  return is_float(g.dtype(x)) ? (g.*node)(x) : x;
}

// 1 - x^2 without the cancellation near 1.
inline Value one_minus_square(Graph& g, Value x) {
  const Value one = like(g, x, 1);
  return g.multiplication(g.subtraction(one, x), g.addition(one, x));
}
inline Value root_of_one_minus_square(Graph& g, Value x) { return g.square_root(one_minus_square(g, x)); }

// The derivative of digamma: all its terms are positive, so that nothing cancels. From 6.5 on a series, moved there by
// psi1(x) = psi1(x + 1) + 1 / x^2; below 1/2 by psi1(1 - x) + psi1(x) = (pi / sin(pi x))^2.
inline Value trigamma(Graph& g, Value x) {
  const Value one = like(g, x, 1), half = like(g, x, 0.5);
  const Value reflects = g.less_than(x, half);
  Value y = g.select(reflects, g.subtraction(one, x), x);
  Value sum = like(g, x, 0);
  for (int i = 0; i < 6; ++i) {
    sum = g.addition(sum, g.square(g.reciprocal(y)));
    y = g.addition(y, one);
  }
  const Value r = g.reciprocal(y), z = g.square(r);
  const Value inner = g.subtraction(like(g, x, 1.0 / 30), g.multiplication(z, like(g, x, 1.0 / 42)));
  const Value odd =
      g.addition(one, g.multiplication(z, g.subtraction(like(g, x, 1.0 / 6), g.multiplication(z, inner))));
  const Value positive = g.addition(sum, g.addition(g.multiplication(r, odd), g.multiplication(z, half)));
  const Value turn = g.subtraction(x, g.rint(x));
  const Value sine = g.sin(g.multiplication(turn, like(g, x, kPi)));
  const Value reflected = g.subtraction(g.square(g.division(like(g, x, kPi), sine)), positive);
  return g.select(reflects, reflected, positive);
}

// Tests. Integers are never infinite and never NaN.
inline Value is_true(Graph& g, Value x) { return g.dtype(x) == DType::bool_ ? x : g.not_equal(x, like(g, x, 0)); }
inline Value is_nan(Graph& g, Value x) { return g.not_equal(x, x); }
inline Value is_infinite(Graph& g, Value x) {
  if (!is_float(g.dtype(x))) return g.not_equal(x, x);
  return g.equal(g.absolute(x), like(g, x, std::numeric_limits<double>::infinity()));
}
inline Value is_finite(Graph& g, Value x) {
  if (!is_float(g.dtype(x))) return g.equal(x, x);
  return g.less_than(g.absolute(x), like(g, x, std::numeric_limits<double>::infinity()));
}

}  // namespace mps::graphs
