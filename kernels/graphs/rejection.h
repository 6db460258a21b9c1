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

// Small counts, by the probabilities of 1, 2, 3 ...: how many of P(X > 0), P(X > 1) ... a uniform number is below.
// These are summed from their small end.
inline constexpr int kFewSteps = 40;  // counts beyond which a mean of 12 does not come (10^-10)
using FewTerms = SmallVector<Value, kFewSteps>;
// Terms do not become less than this, which is nothing beside a uniform number of 2^-33 and more: denormal numbers
// would take most of the time.
inline constexpr double kLeastTerm = 1e-20;
inline Value count_of_few(Graph& g, Value words, const FewTerms& terms) {
  const Value unit = open_unit_interval(g, words);
  Value beyond = g.constant(0, DType::float32), count = beyond;
  for (size_t i = terms.size(); i-- > 0;) {
    beyond = g.addition(beyond, terms[i]);
    count = g.addition(count, g.cast(g.less_than(unit, beyond), DType::float32));
  }
  return count;
}

// Stirling: log(k!) = log(sqrt(2 pi k)) + k log(k) - k + this.
inline Value stirling_rest(Graph& g, Value k) {
  const Value r = g.reciprocal(k), third = g.multiplication(g.square(r), like(g, k, 1.0 / 360));
  return g.multiplication(r, g.subtraction(like(g, k, 1.0 / 12), third));
}

// k log(mean / k) - mean + k, where what is large is not subtracted from each other (Loader, 2000).
inline Value deviance(Graph& g, Value k, Value mean) {
  const Value difference = g.subtraction(mean, k);
  return g.subtraction(g.multiplication(k, g.log1p(g.division(difference, k))), difference);
}

// A point of Hoermann's table mountain (1993): a candidate for the count, whether it is kept without a look at the
// curve, and what is compared with the curve otherwise.
struct Candidate {
  Value count, is_kept, height;
};
struct Mountain {
  Value a, b, centre, alpha, squeeze;
};

inline Candidate candidate(Graph& g, const Mountain& at, Value u_words, Value v_words) {
  const Value half = g.constant(0.5, DType::float32);
  const Value u = g.subtraction(open_unit_interval(g, u_words), half), v = open_unit_interval(g, v_words);
  const Value margin = g.subtraction(half, g.absolute(u));
  const Value part = g.division(at.a, margin);
  const Value slope = g.addition(g.addition(part, part), at.b);
  const Value count = g.floor(g.addition(g.multiplication(slope, u), at.centre));
  const Value is_inner = g.greater_than_or_equal_to(margin, g.constant(0.07, DType::float32));
  const Value is_kept = g.multiplication(is_inner, g.less_than_or_equal_to(v, at.squeeze));
  const Value width = g.addition(g.division(at.a, g.square(margin)), at.b);
  return {count, is_kept, g.logarithm(g.division(g.multiplication(v, at.alpha), width))};
}

inline constexpr int kMountainAttempts = 10;
inline constexpr int kCountWords = 2 * kMountainAttempts + 1;

// The first count that is kept or, by `curve`, lies under the curve; else `middle`.
template <typename Curve>
Value count_of_many(Graph& g, Value words, const Mountain& mountain, Value middle, Curve curve) {
  Value kept = middle;
  for (int i = kMountainAttempts; i-- > 0;) {
    const Candidate each = candidate(g, mountain, row(g, words, 2 * i), row(g, words, 2 * i + 1));
    const Value is_under = g.less_than_or_equal_to(each.height, curve(each));
    kept = g.select(g.addition(each.is_kept, is_under), each.count, kept);
  }
  return kept;
}

// -- poisson ---------------------------------------------------------------------------------------------------------

inline constexpr double kPoissonFew = 12;  // means below it

inline Value poisson_of_few(Graph& g, Value words, Value mean) {
  FewTerms terms;
  Value term = g.exponent(g.negative(mean));
  for (int i = 1; i <= kFewSteps; ++i) {
    term = g.multiplication(term, g.multiplication(mean, like(g, mean, 1.0 / i)));
    if (i % 2 == 0) term = g.maximum(term, like(g, term, kLeastTerm));
    terms.push_back(term);
  }
  return count_of_few(g, words, terms);
}

// PTRS, whose constants these are.
inline Value poisson_of_many(Graph& g, Value words, Value mean) {
  const auto number = [&](double value) { return g.constant(value, DType::float32); };
  const auto plus = [&](Value x, double y) { return g.addition(x, number(y)); };
  const auto times = [&](Value x, double y) { return g.multiplication(x, number(y)); };
  Mountain at;
  at.b = plus(times(g.square_root(mean), 2.53), 0.931);
  at.a = plus(times(at.b, 0.02483), -0.059);
  at.centre = plus(mean, 0.43);
  at.alpha = plus(g.division(number(1.1328), plus(at.b, -3.4)), 1.1239);
  at.squeeze = g.subtraction(number(0.9277), g.division(number(3.6224), plus(at.b, -2)));
  // The logarithm of P(X = k). What is negative has none: its root is NaN, and nothing is below that.
  return count_of_many(g, words, at, g.floor(plus(mean, 0.5)), [&](const Candidate& each) {
    const Value k = each.count;
    const Value root = times(g.logarithm(times(k, 2 * kPi)), 0.5);
    const Value some = g.subtraction(deviance(g, k, mean), g.addition(root, stirling_rest(g, k)));
    return g.select(g.equal(k, number(0)), g.negative(mean), some);
  });
}

// From words [kCountWords, ...] and a line of means in float32. A mean that is not positive gives 0, NaN gives NaN.
inline Value poisson(Graph& g, Value words, Value mean) {
  const Value limit = like(g, mean, kPoissonFew), zero = like(g, mean, 0);
  const Value is_few = g.less_than(mean, limit);  // first, so that where all are few the rest need not be computed
  const Value few = poisson_of_few(g, row(g, words, kCountWords - 1), g.minimum(mean, limit));
  const Value many = poisson_of_many(g, words, g.maximum(mean, limit));
  const Value count = g.select(is_few, few, many);
  const Value is_nan = g.not_equal(mean, mean);
  return g.select(g.greater_than(mean, zero), count, g.select(is_nan, mean, zero));
}

// -- binomial --------------------------------------------------------------------------------------------------------

inline constexpr double kBinomialFew = 10;  // means below it

inline Value binomial_of_few(Graph& g, Value words, Value trials, Value rate) {
  FewTerms terms;
  const Value one = like(g, rate, 1), zero = like(g, rate, 0);
  const Value odds = g.division(rate, g.subtraction(one, rate));
  Value term = g.exponent(g.multiplication(trials, g.log1p(g.negative(rate))));
  for (int i = 1; i <= kFewSteps; ++i) {
    const Value left = g.maximum(g.subtraction(trials, like(g, trials, i - 1)), zero);
    term = g.multiplication(term, g.multiplication(g.multiplication(left, odds), like(g, odds, 1.0 / i)));
    if (i % 2 == 0) term = g.maximum(term, like(g, term, kLeastTerm));
    terms.push_back(term);
  }
  return count_of_few(g, words, terms);
}

// The logarithm of P(X = k), without what does not depend on k; NaN beyond 0 and the number of trials.
inline Value log_of_binomial(Graph& g, Value k, Value trials, Value rate) {
  const Value other_rate = g.subtraction(like(g, rate, 1), rate), rest = g.subtraction(trials, k);
  const Value terms = g.addition(deviance(g, k, g.multiplication(trials, rate)),
                                 deviance(g, rest, g.multiplication(trials, other_rate)));
  const Value spread = g.division(g.division(trials, k), rest);
  const Value root = g.multiplication(g.logarithm(g.multiplication(spread, like(g, k, 0.5 / kPi))), like(g, k, 0.5));
  const Value series = g.subtraction(stirling_rest(g, trials), g.addition(stirling_rest(g, k), stirling_rest(g, rest)));
  const Value some = g.addition(g.addition(terms, root), series);
  const Value none = g.multiplication(trials, g.log1p(g.negative(rate))),
              all = g.multiplication(trials, g.logarithm(rate));
  return g.select(g.equal(k, like(g, k, 0)), none, g.select(g.equal(rest, like(g, k, 0)), all, some));
}

// BTRS, whose constants these are, for rates of at most 1/2.
inline Value binomial_of_many(Graph& g, Value words, Value trials, Value rate) {
  const auto number = [&](double value) { return g.constant(value, DType::float32); };
  const auto plus = [&](Value x, double y) { return g.addition(x, number(y)); };
  const auto times = [&](Value x, double y) { return g.multiplication(x, number(y)); };
  const Value mean = g.multiplication(trials, rate);
  const Value spread = g.square_root(g.multiplication(mean, g.subtraction(number(1), rate)));
  Mountain at;
  at.b = plus(times(spread, 2.53), 1.15);
  at.a = plus(g.addition(times(at.b, 0.0248), times(rate, 0.01)), -0.0873);
  at.centre = plus(mean, 0.5);
  at.alpha = g.multiplication(plus(g.division(number(5.1), at.b), 2.83), spread);
  at.squeeze = g.subtraction(number(0.92), g.division(number(4.2), at.b));
  const Value mode = g.floor(g.multiplication(plus(trials, 1), rate));
  const Value highest = log_of_binomial(g, mode, trials, rate);
  return count_of_many(g, words, at, mode, [&](const Candidate& each) {
    return g.subtraction(log_of_binomial(g, each.count, trials, rate), highest);
  });
}

// From words [kCountWords, ...] and lines of float32. Rates are brought into 0 to 1.
inline Value binomial(Graph& g, Value words, Value trials_, Value rate_) {
  const Value zero = g.constant(0, DType::float32), one = g.constant(1, DType::float32);
  const Value trials = g.maximum(g.floor(trials_), zero), rate = g.minimum(g.maximum(rate_, zero), one);
  const Value other = g.subtraction(one, rate);
  const Value turns = g.less_than(other, rate);
  const Value low_rate = g.select(turns, other, rate);
  const Value is_few = g.less_than(g.multiplication(trials, low_rate), g.constant(kBinomialFew, DType::float32));
  // Each method is given what it can do, whether its result is taken or not.
  const Value few = binomial_of_few(g, row(g, words, kCountWords - 1), trials, low_rate);
  const Value enough = g.maximum(trials, g.division(g.constant(kBinomialFew, DType::float32), low_rate));
  const Value many = binomial_of_many(g, words, g.select(is_few, enough, trials), low_rate);
  const Value count = g.select(is_few, few, many);
  return g.select(turns, g.subtraction(trials, count), count);
}

}  // namespace mps::graphs
