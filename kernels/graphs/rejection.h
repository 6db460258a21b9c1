// Distributions that are drawn by rejection: one tries until a point falls under a curve. A graph has no loops, so all
// attempts are made, and the first that would have been kept counts. There are so many that none is kept once in some
// 10^9 numbers, which then get the middle of their distribution.
#pragma once

#include "kernels/graphs/random.h"

namespace mps::graphs {

inline constexpr int kGammaAttempts = 8;  // at worst 95 of 100 are kept
inline constexpr int kGammaWords = 2 * kGammaAttempts + 1;

// Gamma of mean `alpha` (a line) and scale 1, from words [kGammaWords, ...] (Marsaglia and Tsang, 2000). Below 1, where
// the method ends, that of alpha + 1 times u^(1 / alpha).
inline Value standard_gamma(Graph& g, Value words, Value alpha) {
  const Value one = like(g, alpha, 1);
  const Value is_small = g.less_than(alpha, one);
  const Value d = g.subtraction(g.select(is_small, g.addition(alpha, one), alpha), like(g, alpha, 1.0 / 3));
  const Value c = g.reciprocal(g.square_root(g.multiplication(d, like(g, d, 9))));
  Value kept = g.broadcast(one, Shape(g.shape(alpha)));
  for (int i = kGammaAttempts; i-- > 0;) {
    const Pair pair = normal_pair(g, row(g, words, 2 * (i / 2)), row(g, words, 2 * (i / 2) + 1));
    const Value x = i % 2 == 0 ? pair.x : pair.y;
    const Value t = g.addition(one, g.multiplication(c, x)), v = g.multiplication(g.square(t), t);
    // Where v is not positive its logarithm is no number, and nothing is below that.
    const Value half_square = g.multiplication(g.square(x), like(g, x, 0.5));
    const Value curve = g.multiplication(d, g.addition(g.subtraction(one, v), g.logarithm(v)));
    const Value height = g.negative(exponential(g, row(g, words, kGammaAttempts + i)));
    kept = g.select(g.less_than(height, g.addition(half_square, curve)), v, kept);
  }
  const Value power = g.exponent(g.division(g.negative(exponential(g, row(g, words, kGammaWords - 1))), alpha));
  const Value result = g.multiplication(g.multiplication(d, kept), g.select(is_small, power, one));
  return g.maximum(result, like(g, result, 0x1p-126));  // never 0, as on Paddle's CPU device
}

inline constexpr double kPoissonFew = 12;  // means below it
inline constexpr int kPoissonSteps = 40;   // counts beyond which a mean of 12 does not come (10^-10)
inline constexpr int kPoissonAttempts = 10;
inline constexpr int kPoissonWords = 2 * kPoissonAttempts + 1;

// For small means: how many of P(X > 0), P(X > 1) ... a uniform number is below. These are summed from their small end.
inline Value poisson_of_few(Graph& g, Value words, Value mean) {
  const Value unit = open_unit_interval(g, words);
  SmallVector<Value, kPoissonSteps> terms;
  Value term = g.exponent(g.negative(mean));
  for (int i = 1; i <= kPoissonSteps; ++i) {
    term = g.multiplication(term, g.multiplication(mean, like(g, mean, 1.0 / i)));
    terms.push_back(term);
  }
  Value beyond = like(g, mean, 0), count = beyond;
  for (int i = kPoissonSteps; i-- > 0;) {
    beyond = g.addition(beyond, terms[static_cast<size_t>(i)]);
    count = g.addition(count, g.cast(g.less_than(unit, beyond), DType::float32));
  }
  return count;
}

// The logarithm of P(X = k), by Stirling's series; what is large in it is not subtracted from each other.
inline Value log_of_poisson(Graph& g, Value k, Value mean) {
  const Value difference = g.subtraction(mean, k), r = g.reciprocal(k);
  const Value main = g.subtraction(g.multiplication(k, g.log1p(g.multiplication(difference, r))), difference);
  const Value root = g.multiplication(g.logarithm(g.multiplication(k, like(g, k, 2 * kPi))), like(g, k, 0.5));
  const Value series =
      g.multiplication(r, g.subtraction(like(g, k, 1.0 / 12), g.multiplication(g.square(r), like(g, k, 1.0 / 360))));
  const Value some = g.subtraction(main, g.addition(root, series));
  return g.select(g.less_than(k, like(g, k, 0.5)), g.negative(mean), some);
}

// For large means: PTRS (Hoermann, 1993), whose constants these are.
inline Value poisson_of_many(Graph& g, Value words, Value mean) {
  const auto number = [&](double value) { return g.constant(value, DType::float32); };
  const auto plus = [&](Value x, double y) { return g.addition(x, number(y)); };
  const auto times = [&](Value x, double y) { return g.multiplication(x, number(y)); };
  const Value b = plus(times(g.square_root(mean), 2.53), 0.931), a = plus(times(b, 0.02483), -0.059);
  const Value inverse_alpha = plus(g.division(number(1.1328), plus(b, -3.4)), 1.1239);
  const Value squeeze = g.subtraction(number(0.9277), g.division(number(3.6224), plus(b, -2)));
  Value kept = g.floor(plus(mean, 0.5));
  for (int i = kPoissonAttempts; i-- > 0;) {
    const Value u = plus(open_unit_interval(g, row(g, words, 2 * i)), -0.5);
    const Value v = open_unit_interval(g, row(g, words, 2 * i + 1));
    const Value margin = g.subtraction(number(0.5), g.absolute(u));
    const Value slope = g.addition(times(g.division(a, margin), 2), b);
    const Value k = g.floor(g.addition(g.multiplication(slope, u), plus(mean, 0.43)));
    const auto both = [&](Value x, Value y) { return g.multiplication(x, y); };
    const Value at_once = both(g.greater_than_or_equal_to(margin, number(0.07)), g.less_than_or_equal_to(v, squeeze));
    const Value is_outside =
        g.addition(g.less_than(k, number(0)), both(g.less_than(margin, number(0.013)), g.greater_than(v, margin)));
    const Value width = g.addition(g.division(a, g.square(margin)), b);
    const Value height = g.logarithm(g.division(g.multiplication(v, inverse_alpha), width));
    const Value is_under = g.less_than_or_equal_to(height, log_of_poisson(g, k, mean));
    kept = g.select(g.addition(at_once, both(g.logical_not(is_outside), is_under)), k, kept);
  }
  return kept;
}

// From words [kPoissonWords, ...] and a line of means in float32. A mean that is not positive gives 0, NaN gives NaN.
inline Value poisson(Graph& g, Value words, Value mean) {
  const Value limit = like(g, mean, kPoissonFew), zero = like(g, mean, 0);
  const Value few = poisson_of_few(g, row(g, words, kPoissonWords - 1), g.minimum(mean, limit));
  const Value many = poisson_of_many(g, words, g.maximum(mean, limit));
  const Value count = g.select(g.less_than(mean, limit), few, many);
  const Value is_nan = g.not_equal(mean, mean);
  return g.select(g.greater_than(mean, zero), count, g.select(is_nan, mean, zero));
}

}  // namespace mps::graphs
