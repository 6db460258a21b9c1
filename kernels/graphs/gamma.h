// The incomplete gamma function, in float32 and without a loop that ends when it has converged: a graph has none.
#pragma once

#include <array>
#include <cmath>

#include "kernels/graphs/function.h"

namespace mps::graphs {

// Places and weights of Gauss's rule for integrals from 0 to 1: at the zeros of Legendre's polynomial.
template <size_t kCount>
struct GaussRule {
  std::array<double, kCount> places, weights;

  GaussRule() {
    for (size_t i = 0; i < kCount; ++i) {
      double x = std::cos(kPi * (static_cast<double>(i) + 0.75) / (kCount + 0.5)), slope = 1;
      for (int step = 0; step < 8; ++step) {
        double last = 1, value = x;  // of degrees n - 1 and n
        for (size_t n = 2; n <= kCount; ++n) {
          const double next = ((2.0 * static_cast<double>(n) - 1) * x * value - (static_cast<double>(n) - 1) * last) /
                              static_cast<double>(n);
          last = value;
          value = next;
        }
        slope = static_cast<double>(kCount) * (x * value - last) / (x * x - 1);
        x -= value / slope;
      }
      places[i] = (1 - x) / 2;
      weights[i] = 1 / ((1 - x * x) * slope * slope);
    }
  }
};

// factors[0] + x (factors[1] + x (..)).
template <size_t kCount>
Value horner(Graph& g, Value x, const std::array<double, kCount>& factors) {
  Value sum = like(g, x, factors[kCount - 1]);
  for (size_t i = kCount - 1; i-- > 0;) sum = g.addition(g.multiplication(sum, x), like(g, x, factors[i]));
  return sum;
}

// e^x - 1 - x and log(1 + x) - x, which begin with a square: near 0 by series, where nothing cancels. The latter is
// that of s = x / (2 + x), of which log(1 + x) is 2 (s + s^3 / 3 + s^5 / 5 + ..), and 2 s - x is -s x.
inline Value expm1_beyond(Graph& g, Value x) {
  static constexpr std::array<double, 9> factors = {1.0 / 2,    1.0 / 6,     1.0 / 24,     1.0 / 120,    1.0 / 720,
                                                    1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800};
  const Value near = g.multiplication(g.square(x), horner(g, x, factors));
  return g.select(g.less_than(g.absolute(x), like(g, x, 0.5)), near, g.subtraction(g.expm1(x), x));
}
inline Value log1p_beyond(Graph& g, Value x) {
  static constexpr std::array<double, 5> factors = {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11};
  const Value s = g.division(x, g.addition(x, like(g, x, 2))), square = g.square(s);
  const Value cube = g.multiplication(s, square);
  const Value near = g.subtraction(g.multiplication(cube, horner(g, square, factors)), g.multiplication(s, x));
  return g.select(g.less_than(g.absolute(x), like(g, x, 0.3)), near, g.subtraction(g.log1p(x), x));
}

// x^a e^-x / gamma(a), for positive numbers. Of large a by Stirling's series, where nothing cancels.
inline Value gamma_density(Graph& g, Value a, Value x) {
  const auto number = [&](double value) { return like(g, a, value); };
  const auto times = [&](Value u, Value v) { return g.multiplication(u, v); };
  const Value direct = g.exponent(g.subtraction(g.subtraction(times(a, g.logarithm(x)), x), g.lgamma(a)));
  const Value r = g.reciprocal(a), power = times(a, log1p_beyond(g, g.division(g.subtraction(x, a), a)));
  // log gamma(a) = (a - 1/2) log a - a + log(2 pi) / 2 + 1 / (12 a) - 1 / (360 a^3) + ..
  const Value rest = times(r, g.subtraction(number(1.0 / 12), times(g.square(r), number(1.0 / 360))));
  const Value root = g.square_root(times(a, number(0.5 / kPi)));
  const Value by_series = times(root, g.exponent(g.subtraction(power, rest)));
  return g.select(g.less_than(a, number(8)), direct, by_series);
}

// 1 / gamma(a) times the integral of t^(a - 1) e^-t from x on. The part that is the smaller one is integrated, from x
// away from the maximum at a: with t = x e^(s u), s = -1 below it and 1 above, it is the density at x times the
// integral of exp(s a u - x (e^(s u) - 1)) over u, which falls from 1 to e^-17 within a length that Newton's method
// finds, and is smooth there. Below 1, where t^(a - 1) is not, a is raised by 1, which adds the density over a.
inline Value upper_gamma(Graph& g, Value a, Value x) {
  constexpr double kFall = 17;
  static const GaussRule<16> rule;
  const auto number = [&](double value) { return like(g, a, value); };
  const auto times = [&](Value u, Value v) { return g.multiplication(u, v); };
  const Value one = number(1), is_below = g.less_than(x, g.maximum(a, one));
  const Value is_raised = g.multiplication(is_below, g.less_than(a, one));
  const Value b = g.select(is_raised, g.addition(a, one), a), side = g.select(is_below, number(-1), one);
  const Value line = g.subtraction(x, b);
  const auto fall = [&](Value u) {
    const Value v = times(side, u);
    return g.addition(times(line, v), times(x, expm1_beyond(g, v)));
  };

  // Both starts lie behind the place that is looked for, where Newton's method goes straight back to it.
  const Value slope = g.maximum(line, number(1e-30));
  const Value above = g.minimum(g.square_root(g.division(number(2 * kFall), x)), g.division(number(kFall), slope));
  Value length = g.select(is_below, g.addition(g.division(number(kFall), b), one), above);
  for (int step = 0; step < 5; ++step) {
    const Value steepness = times(side, g.subtraction(times(x, g.exponent(times(side, length))), b));
    length = g.subtraction(length, g.division(g.subtraction(fall(length), number(kFall)), steepness));
  }

  Value sum = number(0);
  for (size_t i = 0; i < rule.places.size(); ++i) {
    const Value height = g.exponent(g.negative(fall(times(length, number(rule.places[i])))));
    sum = g.addition(sum, times(height, number(rule.weights[i])));
  }
  const Value part = times(gamma_density(g, b, x), times(sum, length));
  const Value lower = g.addition(part, g.select(is_raised, g.division(gamma_density(g, a, x), a), number(0)));
  const Value result = g.select(is_below, g.subtraction(one, lower), part);
  const Value zero = number(0);
  const Value is_nothing = g.addition(g.less_than_or_equal_to(x, zero), g.less_than_or_equal_to(a, zero));
  return g.select(is_nothing, one, result);
}

}  // namespace mps::graphs
