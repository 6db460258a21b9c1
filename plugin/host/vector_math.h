// Elementary functions of one float, written so that a loop over them becomes vector code: no branches, no tables, no
// calls. Both sides of every choice are computed and one is selected.
//
// Each is within 2 ULP of the true value for all 2^32 arguments, denormal arguments and results included, and exact
// where the value is special; tests/cpp/unit/host_vector_test.cc holds them to it. Products are fused with sums only
// where multiply_add says so, so that every instruction set that has this instruction gives the same bits.
//
// The polynomials are minimax fits of relative error made for this file. Reductions follow the usual texts (Cody and
// Waite, "Software Manual for the Elementary Functions", 1980).
//
// To add a function: one function here, one line in vector_ops.h, one row in nodes.def.
#pragma once

#include <cstdint>
#include <cstring>

// Internal linkage on purpose: a copy compiled for one instruction set must never serve callers of another.
#define MPS_VECTOR_INLINE static inline __attribute__((always_inline))

namespace mps::vector_math {

// Bits are unsigned: they are calculated with even where the value is a NaN, and may overflow then.
MPS_VECTOR_INLINE uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

MPS_VECTOR_INLINE float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// 2^n for n in [-126, 127].
MPS_VECTOR_INLINE float power_of_two(int32_t n) { return float_of(static_cast<uint32_t>(n + 127) << 23); }

inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kNaN = __builtin_nanf("");

// ln 2 in two parts: the first has so few bits that its product with any exponent is exact.
inline constexpr float kLn2High = 0x1.63p-1f;
inline constexpr float kLn2Low = -0x1.bd0106p-13f;

// x * y + z, rounded once where the processor can. Accuracy does not depend on it, a third of the speed does.
MPS_VECTOR_INLINE float multiply_add(float x, float y, float z) {
#if defined(__FP_FAST_FMAF)
  return __builtin_fmaf(x, y, z);
#else
  return x * y + z;
#endif
}

MPS_VECTOR_INLINE float absolute(float x) { return float_of(bits_of(x) & 0x7fffffffu); }

MPS_VECTOR_INLINE double double_of_bits(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Integers of at most 2^51 in size become doubles, and back, by standing in the low bits of 1.5 * 2^52, since there are
// few vector conversions of int64.
inline constexpr double kHolder = 0x1.8p52;
inline constexpr uint64_t kHolderBits = 0x4338000000000000u;
MPS_VECTOR_INLINE uint64_t integer_of_whole(double whole) {
  const double sum = whole + kHolder;
  uint64_t bits;
  std::memcpy(&bits, &sum, sizeof bits);
  return bits - kHolderBits;
}
MPS_VECTOR_INLINE double whole_of_integer(uint64_t integer) { return double_of_bits(integer + kHolderBits) - kHolder; }

// x without its fraction, for -2^63 <= x < 2^63.
MPS_VECTOR_INLINE int64_t truncated_to_int64(float x) {
#if defined(__AVX2__) && !defined(__AVX512DQ__)
  // There is no vector instruction for it; in two halves there is.
  const double all = static_cast<double>(x), high = __builtin_trunc(all * 0x1p-32);
  const double low = __builtin_trunc(all - high * 0x1p32);
  return static_cast<int64_t>((integer_of_whole(high) << 32) + integer_of_whole(low));
#else
  return static_cast<int64_t>(x);
#endif
}

// An int64 rounded once.
MPS_VECTOR_INLINE float rounded_to_float(int64_t x) {
#if defined(__AVX2__) && !defined(__AVX512DQ__)
  // Likewise. What a double would have to round is kept as one bit, far below those that a float has.
  constexpr uint64_t kLast = 0x7ff, kExact = uint64_t{1} << 53;
  const uint64_t all = static_cast<uint64_t>(x), kept = (((all & kLast) + kLast) | all) & ~kLast;
  const uint64_t bits = all + kExact < 2 * kExact ? all : kept;
  // The halves stand in the low bits of 2^84 (with the sign turned around, and so 2^63 too large) and of 2^52.
  const double high = double_of_bits((bits >> 32) ^ 0x4530000080000000u) - (0x1p84 + 0x1p63 + 0x1p52);
  return static_cast<float>(high + double_of_bits((bits & 0xffffffffu) | 0x4330000000000000u));
#else
  return static_cast<float>(x);
#endif
}

// A value and what rounding it left out: their sum is more exact than any float.
struct Sum {
  float value;
  float rest;
};

// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2
MPS_VECTOR_INLINE float polynomial_of_exponent(float r) {
  float p = 0x1.6a1f4ep-10f;
  p = multiply_add(p, r, 0x1.123cd6p-7f);
  p = multiply_add(p, r, 0x1.555904p-5f);
  p = multiply_add(p, r, 0x1.55548ep-3f);
  return multiply_add(p, r, 0x1.fffffcp-2f);
}

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln(2) / 2.
MPS_VECTOR_INLINE Sum exponent_sum(float x) {
  // Outside of these bounds the result is 0 or infinity anyway. A NaN passes both comparisons unchanged.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  constexpr float kRound = 0x1.8p23f;
  const float shifted = multiply_add(x, 0x1.715476p0f, kRound);
  const float n = shifted - kRound;
  const int32_t exponent = static_cast<int32_t>(bits_of(shifted) - 0x4b400000u);
  const float r = multiply_add(n, -kLn2Low, multiply_add(n, -kLn2High, x));
  const float above_1 = multiply_add(r * r, polynomial_of_exponent(r), r);
  const float mantissa = above_1 + 1.0f;
  const float rest = above_1 - (mantissa - 1.0f);
  // In two steps, since 2^n itself may overflow or be denormal. Only the last product can round.
  const float low_half = power_of_two(exponent >> 1);
  const float high_half = power_of_two(exponent - (exponent >> 1));
  return {mantissa * low_half * high_half, rest * low_half * high_half};
}

MPS_VECTOR_INLINE float exponent(float x) { return exponent_sum(x).value; }

// exp(x) as (1 + above_1) power, for -80 <= x <= 80, where nothing overflows; NaN stays NaN.
struct ReducedExponent {
  float above_1, power;
};
MPS_VECTOR_INLINE ReducedExponent reduced_exponent(float x) {
  constexpr float kRound = 0x1.8p23f;
  const float shifted = multiply_add(x, 0x1.715476p0f, kRound);
  const float n = shifted - kRound;
  const float r = multiply_add(n, -kLn2Low, multiply_add(n, -kLn2High, x));
  const float above_1 = multiply_add(r * r, polynomial_of_exponent(r), r);
  return {above_1, float_of((bits_of(shifted) << 23) + 0x3f800000u)};
}
MPS_VECTOR_INLINE float exponent_of_moderate(float x) {
  const ReducedExponent e = reduced_exponent(x);
  return (e.above_1 + 1.0f) * e.power;
}

// Up to here expm1(x) and log1p(x) are x; so zeros keep their sign, and denormal numbers all of their bits.
inline constexpr float kIsItself = 0x1p-25f;

// exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), with r in two parts and what the sums leave out added in the end: within
// 1.14 ULP. It is half of that until then, since 2^n may overflow.
MPS_VECTOR_INLINE float expm1(float x) {
  float inside = x < -20.0f ? -20.0f : x;  // the result is -1 or infinity anyway; a NaN stays one
  inside = inside > 89.0f ? 89.0f : inside;
  constexpr float kRound = 0x1.8p23f;
  const float shifted = multiply_add(inside, 0x1.715476p0f, kRound);
  const float n = shifted - kRound;
  const float first = multiply_add(n, -kLn2High, inside);  // exact
  const float r = multiply_add(n, -kLn2Low, first), r_rest = multiply_add(n, -kLn2Low, first - r);
  const float above_r = multiply_add(r * r, polynomial_of_exponent(r), r_rest);
  const float half_power = float_of((bits_of(shifted) << 23) + 0x3f000000u), less_half = half_power - 0.5f;
  const float most = multiply_add(half_power, r, less_half);
  const float rest = multiply_add(half_power, r, less_half - most);
  const float half = most + multiply_add(half_power, above_r, rest);
  return absolute(x) < kIsItself ? x : half + half;
}

// log(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2))
MPS_VECTOR_INLINE float logarithm_beyond(float f) {
  float p = 0x1.1457a6p-4f;
  p = multiply_add(p, f, -0x1.de3c16p-4f);
  p = multiply_add(p, f, 0x1.e6f06ap-4f);
  p = multiply_add(p, f, -0x1.fc2208p-4f);
  p = multiply_add(p, f, 0x1.233768p-3f);
  p = multiply_add(p, f, -0x1.555c4ep-3f);
  p = multiply_add(p, f, 0x1.99a4b6p-3f);
  p = multiply_add(p, f, -0x1.000006p-2f);
  p = multiply_add(p, f, 0x1.555548p-2f);
  return f * f * multiply_add(f, p, -0.5f);
}

// A positive number as 2^e (1 + f), with f as above. It is not denormal.
struct Parts {
  int32_t e;
  float f;
};
MPS_VECTOR_INLINE Parts parts_of(float x) {
  constexpr uint32_t kSqrtHalf = 0x3f3504f3u;
  const uint32_t offset = bits_of(x) - kSqrtHalf;
  return {static_cast<int32_t>(offset) >> 23, float_of((offset & 0x007fffffu) + kSqrtHalf) - 1.0f};
}

// log(x) = e ln 2 + log(1 + f) with x = 2^e (1 + f).
MPS_VECTOR_INLINE float logarithm(float x) {
  const bool denormal = x < 0x1p-126f;
  const float normal = denormal ? x * 0x1p25f : x;
  const Parts parts = parts_of(normal);
  const float f = parts.f, e = static_cast<float>(parts.e - (denormal ? 25 : 0));
  float result = multiply_add(e, kLn2High, f + multiply_add(e, kLn2Low, logarithm_beyond(f)));
  result = x < kInfinity ? result : x;  // infinity and NaN
  result = x < 0.0f ? kNaN : result;
  return x == 0.0f ? -kInfinity : result;
}

// The same of u = 1 + x; what that sum leaves out belongs to f, and what e ln 2 + f leaves out is added: within 1.5
// ULP.
MPS_VECTOR_INLINE float log1p(float x) {
  const float u = 1.0f + x, lost = x - (u - 1.0f);
  const Parts parts = parts_of(u);
  const int32_t down = 127 - (parts.e < 127 ? parts.e : 127);  // the exponent's bits of 2^-e
  const float f = multiply_add(lost, float_of(static_cast<uint32_t>(down) << 23), parts.f);
  const float e = static_cast<float>(parts.e);
  const float most = multiply_add(e, kLn2High, f), rest = multiply_add(e, kLn2High, -most) + f;
  float result = most + (rest + multiply_add(e, kLn2Low, logarithm_beyond(f)));
  result = x < kInfinity ? result : x;  // infinity and NaN
  result = x < -1.0f ? kNaN : result;
  result = x == -1.0f ? -kInfinity : result;
  return absolute(x) < kIsItself ? x : result;
}

// 1 / d for 1 <= d <= 2, but for 2^-26 of it: much faster than a division. The polynomial is best possible, as
// 1 - d p(d) is a Chebyshev polynomial over 99; each step squares that error.
MPS_VECTOR_INLINE float reciprocal_from_1_to_2(float d) {
  float p = multiply_add(d, 32.0f / 99, -144.0f / 99);
  p = multiply_add(d, p, 210.0f / 99);
  p = multiply_add(p, multiply_add(-d, p, 1.0f), p);
  return multiply_add(p, multiply_add(-d, p, 1.0f), p);
}

// 1 / (1 + exp(-x)). With t = exp(-|x|) nothing overflows, and t / (1 + t), the result for negative x, keeps the
// relative accuracy of t; for other x it is taken from 1. One correction makes up for the reciprocal, and for the
// rounding of t and of 1 + t. t is m 2^n, and only its last factor can round: it comes in at the end.
MPS_VECTOR_INLINE float sigmoid(float x) {
  float minus = float_of(bits_of(x) | 0x80000000u);
  minus = minus < -104.0f ? -104.0f : minus;  // the result is 0 or 1 anyway
  constexpr float kRound = 0x1.8p23f;
  const float shifted = multiply_add(minus, 0x1.715476p0f, kRound);
  const float n = shifted - kRound;
  const float r = multiply_add(n, -kLn2Low, multiply_add(n, -kLn2High, minus));
  const float above_1 = multiply_add(r * r, polynomial_of_exponent(r), r);
  const float m = above_1 + 1.0f;
  const int32_t exponent = static_cast<int32_t>(bits_of(shifted) - 0x4b400000u);
  const int32_t normal = exponent < -100 ? -100 : exponent;
  const float power = power_of_two(normal), t = m * power, t_rest = (above_1 - (m - 1.0f)) * power;
  const float divisor = 1.0f + t, divisor_rest = (t - (divisor - 1.0f)) + t_rest;
  const float reciprocal = reciprocal_from_1_to_2(divisor), quotient = t * reciprocal;
  const float rest = multiply_add(-quotient, divisor_rest, multiply_add(-quotient, divisor, t) + t_rest);
  const float small = multiply_add(rest, reciprocal, quotient);
  return x < 0.0f ? small * power_of_two(exponent - normal) : 1.0f - small;
}

// -m / (2 + m) with m = exp(-2 |x|) - 1, which keeps the relative accuracy of |x|: m is 2^n (exp(r) - 1) + (2^n - 1)
// with r and n as above. One correction makes up for the rounding of 2 + m, for which 1 / (2 + m) to 1/17 of it is
// enough: the divider works beside the multipliers, which are what is busy. The sign is put back as a bit.
MPS_VECTOR_INLINE float tanh(float x) {
  const float magnitude = absolute(x);
  const ReducedExponent e = reduced_exponent(-2.0f * (magnitude > 10.0f ? 10.0f : magnitude));  // tanh(10) is 1
  const float m = multiply_add(e.power, e.above_1, e.power - 1.0f), size = absolute(m);
#if defined(__FP_FAST_FMAF)
  const float divisor = 2.0f + m, divisor_rest = m - (divisor - 2.0f);
  const float quotient = size / divisor;
  const float rest = multiply_add(-quotient, divisor_rest, multiply_add(-quotient, divisor, size));
  const float result = multiply_add(rest, multiply_add(divisor, -8.0f / 17, 24.0f / 17), quotient);
#else
  const float result = static_cast<float>(static_cast<double>(size) / (2.0 + static_cast<double>(m)));
#endif
  return float_of(bits_of(result) | (bits_of(x) & 0x80000000u));
}

}  // namespace mps::vector_math
