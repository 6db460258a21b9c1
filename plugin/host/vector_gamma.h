// The gamma function's logarithm and its derivative, of one float, by way of double; see vector_double.h.
#pragma once

#include "plugin/host/vector_double.h"

namespace mps::vector_math {

// log(gamma(x)) of a positive x: on [1, 3] a polynomial between the zeros at 1 and 2, below by log(x), above Stirling's
// series as a polynomial in 1 / x^2.
MPS_VECTOR_INLINE double positive_lgamma(double x) {
  const bool below = x < 1.0;
  const double log = logarithm(x);
  const double z = below ? x + 1.0 : x;
  const double from_2 = z - 2.0;
  // log(gamma(z)) / ((z - 1) (z - 2)) for z in [1, 3]: 2^-39
  const double p =
      polynomial(from_2, 0x1.b0ee6072093cep-2, -0x1.9ae6509f59a23p-4, 0x1.0e0c9df3449e0p-5, -0x1.95ce20e1d46e6p-7,
                 0x1.47974708864cfp-8, -0x1.14517fe98dcecp-9, 0x1.dfec83fdf7bbcp-11, -0x1.a953220341c61p-12,
                 0x1.7ec100397b27dp-13, -0x1.5e0dcf8f66f9fp-14, 0x1.41a6a1c41886cp-15, -0x1.195207f2b70c3p-16,
                 0x1.057e9f9dee56ap-17, -0x1.594b4bf4e2bddp-18, 0x1.464d133267ddcp-19, 0x1.de8410a14ab70p-23,
                 -0x1.e33be6b9e8aacp-24, -0x1.52dd49ff57385p-21, 0x1.4444a3c2ec1edp-22);
  const double near = (below ? x : x - 1.0) * from_2 * p - (below ? log : 0.0);
  const double reciprocal = 1.0 / x;
  // for x >= 3: 2^-45
  const double series =
      polynomial(reciprocal * reciprocal, 0x1.55555555554e5p-4, -0x1.6c16c167170c1p-9, 0x1.a019ee7c17949p-11,
                 -0x1.380c500a91454p-11, 0x1.b7edfbcd484c4p-11, -0x1.e284653fc1768p-10, 0x1.47a6056a6c974p-8,
                 -0x1.89e475d35b8e4p-7, 0x1.057f45ce202b4p-6);
  constexpr double kHalfLogOfTwoPi = 0x1.d67f1c864beb5p-1;
  const double far = ((x - 0.5) * log - x + kHalfLogOfTwoPi) + series * reciprocal;
  return x <= 3.0 ? near : far;
}

// Below 0 by reflection: gamma(x) gamma(-x) = -pi / (x sin(pi x)). Infinite at 0 and the negative integers.
MPS_VECTOR_INLINE float lgamma(float x) {
  const double a = absolute(static_cast<double>(x));
  const double positive = positive_lgamma(a);
  const double sine = absolute(sine_of_pi(a - __builtin_rint(a)));
  const double reflected = logarithm(kPi / (a * sine)) - positive;
  const float result = static_cast<float>((x < 0.0f ? reflected : positive) + 0.0);  // no -0
  return absolute(x) == kInfinity ? kInfinity : result;
}

// From 4.5 on log(x) - 1 / 2x - a series in 1 / x^2; arguments are moved there by psi(x + 1) = psi(x) + 1 / x, and
// those below 1/2 by psi(1 - x) - psi(x) = pi / tan(pi x). NaN at the negative integers, infinite at 0.
MPS_VECTOR_INLINE float digamma(float x) {
  const double from = static_cast<double>(x);
  const bool reflects = x < 0.5f;
  const double y = reflects ? 1.0 - from : from;
  const double steps = 1.0 / y + 1.0 / (y + 1.0) + 1.0 / (y + 2.0) + 1.0 / (y + 3.0);
  const double far = y + 4.0, reciprocal = 1.0 / far;
  const double z = reciprocal * reciprocal;
  // for far >= 4: 2^-40
  const double series =
      polynomial(z, 0x1.555555555434bp-4, -0x1.111110d99f77ap-7, 0x1.040fd02c54c15p-8, -0x1.10e53d7c8e97fp-8,
                 0x1.e82675ac985e1p-8, -0x1.229f0df8bee6dp-6, 0x1.1153be801e9dbp-5);
  const double positive = (logarithm(far) - 0.5 * reciprocal - z * series) - steps;
  const double turn = from - __builtin_rint(from);
  const double half_turn = 0.5 - absolute(turn);
  const double sine = sine_of_pi(turn);
  const double cotangent = sine_of_pi(half_turn) / sine;
  double result = reflects ? positive - kPi * cotangent : positive;
  result = reflects && turn == 0.0 ? kDoubleNaN : result;
  result = x == 0.0f ? -1.0 / from : result;
  return static_cast<float>(from == kDoubleInfinity ? kDoubleInfinity : result);
}

}  // namespace mps::vector_math
