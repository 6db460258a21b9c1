// Derivatives of digamma, of any order, in float32.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/graphs/bessel.h"
#include "kernels/graphs/function.h"

namespace mps::graphs {

inline constexpr int kZetaTerms = 9;
// B_2j / (2j)! of Bernoulli's numbers.
inline constexpr double kEulerMaclaurin[] = {1.0 / 12,       -1.0 / 720,     1.0 / 30240,
                                             -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000};

// Hurwitz's sum over k of (x + k)^-s for x > 0 and an integer s > 1: the first terms, and the rest by Euler and
// Maclaurin.
inline Value hurwitz_zeta(Graph& g, Value x, int s) {
  const Value exponent = like(g, x, -s);
  Value sum = g.power(x, exponent);
  for (int k = 1; k < kZetaTerms; ++k) {
    sum = g.addition(sum, g.power(g.addition(x, like(g, x, k)), exponent));
  }
  const Value w = g.addition(x, like(g, x, kZetaTerms)), next = g.power(w, exponent);
  sum = g.addition(sum, g.multiplication(g.multiplication(next, w), like(g, x, 1.0 / (s - 1))));
  // w^-s (1/2 + sum of B_2j / (2j)! s (s + 1) .. (s + 2j - 2) w^(1 - 2j))
  const Value by_w = g.reciprocal(w), by_square = g.square(by_w);
  double coefficients[6];
  double rising = s;
  for (int j = 0; j < 6; ++j) {
    coefficients[j] = kEulerMaclaurin[j] * rising;
    rising *= (s + 2.0 * j + 1) * (s + 2.0 * j + 2);
  }
  const Value series = g.multiplication(by_w, polynomial(g, by_square, coefficients, 6));
  return g.addition(sum, g.multiplication(next, g.addition(like(g, x, 0.5), series)));
}

// The nth derivative of cot(pi x), by x. A polynomial of cot(pi x): each derivative of p is -pi (1 + c^2) p'.
inline Value cotangent_derivative(Graph& g, Value x, int n) {
  std::vector<double> p{0, 1};
  for (int i = 0; i < n; ++i) {
    std::vector<double> next(p.size() + 1, 0);
    for (size_t k = 1; k < p.size(); ++k) {
      next[k - 1] -= kPi * static_cast<double>(k) * p[k];
      next[k + 1] -= kPi * static_cast<double>(k) * p[k];
    }
    p = next;
  }
  const Value turn = g.multiplication(g.subtraction(x, g.rint(x)), like(g, x, kPi));
  const Value c = g.division(g.cos(turn), g.sin(turn));
  // Every second coefficient is 0.
  const size_t first = (p.size() - 1) % 2;
  std::vector<double> half;
  for (size_t k = first; k < p.size(); k += 2) half.push_back(p[k]);
  const Value even = polynomial(g, g.square(c), half, static_cast<int>(half.size()));
  return first == 1 ? g.multiplication(even, c) : even;
}

// The nth derivative of digamma: (-1)^(n + 1) n! zeta(n + 1, x); below 1/2 by its reflection,
// psi_n(x) = (-1)^n psi_n(1 - x) - pi d^n cot(pi x) / dx^n.
inline Value polygamma(Graph& g, Value x, int n) {
  if (n == 0) return g.digamma(x);
  const Value one = like(g, x, 1);
  const Value reflects = g.less_than(x, like(g, x, 0.5));
  const Value y = g.select(reflects, g.subtraction(one, x), x);
  const double sign = n % 2 == 0 ? -1 : 1;
  const Value plain = g.multiplication(hurwitz_zeta(g, y, n + 1), like(g, x, sign * std::tgamma(n + 1.0)));
  const Value turned = n % 2 == 0 ? plain : g.negative(plain);
  const Value reflected = g.subtraction(turned, g.multiplication(cotangent_derivative(g, x, n), like(g, x, kPi)));
  return g.select(reflects, reflected, plain);
}

}  // namespace mps::graphs
