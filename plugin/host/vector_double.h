// Parts of elementary functions in double, of which vector_functions.h makes the functions of one float.
//
// A float function that is calculated in double and rounded once needs no care for the last place: 40 right bits are
// plenty. Half as many lanes are worth it. As in vector_math.h there are no branches and no tables, and products are
// fused with sums only where multiply_add says so.
//
// The polynomials are Chebyshev fits made for this file; the comment at each gives the interval and the relative error.
#pragma once

#include "plugin/host/vector_math.h"

namespace mps::vector_math {

MPS_VECTOR_INLINE uint64_t bits_of(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

MPS_VECTOR_INLINE double double_of(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline constexpr double kDoubleInfinity = __builtin_inf();
inline constexpr double kDoubleNaN = __builtin_nan("");
inline constexpr double kPi = 0x1.921fb54442d18p1;
inline constexpr double kHalfPi = 0x1.921fb54442d18p0;
inline constexpr double kQuarterPi = 0x1.921fb54442d18p-1;
inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;
inline constexpr double kLog2OfE = 0x1.71547652b82fep0;
inline constexpr double kLog10Of2 = 0x1.34413509f79ffp-2;
inline constexpr double kLog10OfE = 0x1.bcb7b1526e50ep-2;

MPS_VECTOR_INLINE double multiply_add(double x, double y, double z) {
#if defined(__FP_FAST_FMA)
  return __builtin_fma(x, y, z);
#else
  return x * y + z;
#endif
}

MPS_VECTOR_INLINE double absolute(double x) { return double_of(bits_of(x) & 0x7fffffffffffffffu); }

// The magnitude of a result with the sign of the argument.
MPS_VECTOR_INLINE float with_sign(double magnitude, float of) {
  return float_of((bits_of(static_cast<float>(magnitude)) & 0x7fffffffu) | (bits_of(of) & 0x80000000u));
}

// c0 + c1 x + c2 x^2 ...
MPS_VECTOR_INLINE double polynomial(double, double last) { return last; }
template <typename... Rest>
MPS_VECTOR_INLINE double polynomial(double x, double first, double second, Rest... rest) {
  return multiply_add(x, polynomial(x, second, rest...), first);
}

// exp(x) = 2^n (1 + above_1).
struct Exponential {
  double power;
  double above_1;
};

// x is first brought to [-300, 300], beyond which every float result is 0 or infinite. A NaN stays one.
MPS_VECTOR_INLINE Exponential exponential(double x) {
  x = x < -300.0 ? -300.0 : x;
  x = x > 300.0 ? 300.0 : x;
  constexpr double kRound = 0x1.8p52;  // the sum has the integer in its low bits
  const double shifted = multiply_add(x, kLog2OfE, kRound);
  const double n = shifted - kRound;
  // ln 2 in two parts, the first short enough for an exact product.
  const double r = multiply_add(n, -0x1.a39ef35793c76p-33, multiply_add(n, -0x1.62e42feep-1, x));
  // (exp(r) - 1) / r for |r| <= ln(2) / 2: 2^-54
  const double p = polynomial(r, 0x1p0, 0x1.0000000000006p-1, 0x1.5555555555557p-3, 0x1.5555555551c52p-5,
                              0x1.111111110ff87p-7, 0x1.6c16c18071d1ep-10, 0x1.a01a01aca0134p-13, 0x1.a019a2b5a03cap-16,
                              0x1.71ddffef9e7b1p-19, 0x1.28a6924913659p-22, 0x1.af52906239de4p-26);
  return {double_of((bits_of(shifted) + 1023) << 52), r * p};
}

MPS_VECTOR_INLINE double exponent(double x) {
  const Exponential e = exponential(x);
  return multiply_add(e.power, e.above_1, e.power);
}

// exp(x) - 1, of full relative accuracy near 0.
MPS_VECTOR_INLINE double exponent_minus_one(double x) {
  const Exponential e = exponential(x);
  return multiply_add(e.power, e.above_1, e.power - 1.0);
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)); the logarithm of m, and e.
struct Logarithm {
  double e;
  double of_mantissa;
};

// For positive, finite, normal x; special() makes the rest right.
MPS_VECTOR_INLINE Logarithm logarithm_parts(double x) {
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcdu;
  const uint64_t offset = bits_of(x) - kSqrtHalf + (uint64_t{1023} << 52);
  // The biased exponent becomes a double by standing in the low bits of 2^52: there are no vector conversions of int64.
  const double e = double_of((offset >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
  const double f = double_of((offset & 0x000fffffffffffffu) + kSqrtHalf) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  // atanh(s) / s for z <= 0.0295: 2^-52
  const double p = polynomial(z, 0x1.0000000000001p+0, 0x1.5555555552acfp-2, 0x1.999999a4c224fp-3, 0x1.2492405ee8717p-3,
                              0x1.c722ffa479399p-4, 0x1.731c9381b9a30p-4, 0x1.592667ca3de0dp-4);
  return {e, 2.0 * s * p};
}

// What a logarithm is where its argument is not positive and finite.
MPS_VECTOR_INLINE double special_logarithm(double x, double result) {
  result = x < kDoubleInfinity ? result : x;  // infinity and NaN
  result = x < 0.0 ? kDoubleNaN : result;
  return x == 0.0 ? -kDoubleInfinity : result;
}

MPS_VECTOR_INLINE double logarithm(double x) {
  const Logarithm l = logarithm_parts(x);
  return special_logarithm(x, multiply_add(l.e, kLn2, l.of_mantissa));
}

// log(1 + x): what rounding 1 + x left out comes back in the first order.
MPS_VECTOR_INLINE double logarithm_of_one_plus(double x) {
  const double u = 1.0 + x;
  const Logarithm l = logarithm_parts(u);
  const double rest = (x - (u - 1.0)) / u;
  return special_logarithm(u, multiply_add(l.e, kLn2, l.of_mantissa) + rest);
}

// x - 4 round(x / 4), exact.
MPS_VECTOR_INLINE double modulo_four(double x) { return x - 4.0 * __builtin_rint(0.25 * x); }

// An angle as quadrant * pi / 2 + rest with |rest| <= pi / 4.
struct Angle {
  uint64_t quadrant;  // its two low bits count
  double rest;
};

// Of a float, by all of 2 / pi that matters: its digits in pieces of 28 bits, whose products with x are exact. Whole
// turns are dropped piece by piece. Sums that cancel are exact then, others are rounded to double; so the rest is of
// full relative accuracy for all floats.
MPS_VECTOR_INLINE Angle angle(double x) {
  double q = modulo_four(x * 0xa2f9836p-28);
  q = modulo_four(q + modulo_four(x * 0xe4e4415p-56));
  q = modulo_four(q + modulo_four(x * 0x29fc275p-84));
  q = modulo_four(q + modulo_four(x * 0x7d1f534p-112));
  q = modulo_four(q + modulo_four(x * 0xddc0db6p-140));
  q = modulo_four(q + modulo_four(x * 0x295993cp-168));
  q = modulo_four(q + modulo_four(x * 0x439041fp-196));
  constexpr double kRound = 0x1.8p52;
  const double shifted = q + kRound;
  return {bits_of(shifted), (q - (shifted - kRound)) * kHalfPi};
}

// For |x| <= pi / 4: 2^-47 and 2^-52.
MPS_VECTOR_INLINE double short_sine(double x) {
  const double z = x * x;
  return x * polynomial(z, 0x1.fffffffffffd9p-1, -0x1.5555555550ea3p-3, 0x1.1111110bd90c7p-7, -0x1.a019f89b22deep-13,
                        0x1.71d72de46d603p-19, -0x1.a94f3449b3310p-26);
}
MPS_VECTOR_INLINE double short_cosine(double x) {
  const double z = x * x;
  return polynomial(z, 0x1p+0, -0x1.fffffffffff78p-2, 0x1.555555554e75fp-5, -0x1.6c16c163bd246p-10,
                    0x1.a019f7f62476ap-16, -0x1.27df3d1d43778p-22, 0x1.1b8a18b167949p-29);
}

// sin(pi x) for |x| <= 1/2.
MPS_VECTOR_INLINE double sine_of_pi(double x) {
  const double magnitude = absolute(x);
  const double near = short_sine(kPi * magnitude);
  const double far = short_cosine(kPi * (0.5 - magnitude));
  return double_of(bits_of(magnitude <= 0.25 ? near : far) | (bits_of(x) & 0x8000000000000000u));
}

// The angle in [0, pi / 2] whose tangent is y / x; y and x are not negative.
MPS_VECTOR_INLINE double arctangent(double y, double x) {
  const bool both_infinite = y == kDoubleInfinity && x == kDoubleInfinity;
  y = both_infinite ? 1.0 : y;
  x = both_infinite ? 1.0 : x;
  const bool steep = y > x;
  const double low = steep ? x : y;
  double high = steep ? y : x;
  high = high == 0.0 ? 1.0 : high;                       // 0 / 0 is 0
  const bool above = low > 0x1.a827999fcef32p-2 * high;  // than tan(pi / 8)
  const double t = (above ? low - high : low) / (above ? low + high : high);
  // atan(t) / t for |t| <= tan(pi / 8): 2^-50
  const double p = polynomial(t * t, 0x1.ffffffffffff7p-1, -0x1.55555555505efp-2, 0x1.999999921f115p-3,
                              -0x1.249246f306c50p-3, 0x1.c71bc9c3d4a27p-4, -0x1.744e91144a4e9p-4, 0x1.3a4e2fbcb55cfp-4,
                              -0x1.0a781aa33d7e7p-4, 0x1.9b861470d1f3ep-5, -0x1.9e7fa4ed4bec0p-6);
  const double a = multiply_add(t, p, above ? kQuarterPi : 0.0);
  return steep ? kHalfPi - a : a;
}

}  // namespace mps::vector_math
