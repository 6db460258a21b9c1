// Elementary functions of one or two floats by way of double: within 1 ULP of the true value for all arguments, exact
// where the value is special. tests/cpp/unit/host_vector_test.cc holds them to it.
//
// Each begins with what it is made of; see vector_double.h.
#pragma once

#include "plugin/host/vector_double.h"

namespace mps::vector_math {

// The exponent is added as it is, so that powers of two are exact.
MPS_VECTOR_INLINE float logarithm_base_2(float x) {
  const Logarithm l = logarithm_parts(static_cast<double>(x));
  return static_cast<float>(special_logarithm(x, multiply_add(l.of_mantissa, kLog2OfE, l.e)));
}

MPS_VECTOR_INLINE float logarithm_base_10(float x) {
  const Logarithm l = logarithm_parts(static_cast<double>(x));
  return static_cast<float>(special_logarithm(x, multiply_add(l.e, kLog10Of2, l.of_mantissa * kLog10OfE)));
}

// Of most angles the rest is found in float, in two parts whose sum is of full relative accuracy (Cody and Waite),
// which takes a fused multiply-add. Where it is missing, and for large angles, all is done in double.
#if defined(__FP_FAST_FMAF)
MPS_VECTOR_INLINE bool is_usual_angle(float x) { return absolute(x) < 512.0f; }
#else
MPS_VECTOR_INLINE bool is_usual_angle(float) { return false; }
#endif

struct UsualAngle {
  uint32_t quadrant;  // its two low bits count
  Sum rest;
};

MPS_VECTOR_INLINE UsualAngle usual_angle(float x) {
  constexpr float kRound = 0x1.8p23f;  // the sum has the integer in its low bits
  const float shifted = multiply_add(x, 0x1.45f306p-1f, kRound);
  const float n = shifted - kRound;
  // The first difference is exact. The second may lose nearly all of the first: its product and sum are taken with
  // what rounding them leaves out (Dekker; Knuth).
  const float first = multiply_add(n, -0x1.921fb6p0f, x);
  const float product = n * 0x1.777a5cp-25f;
  const float of_product = multiply_add(n, 0x1.777a5cp-25f, -product);
  const float value = first + product;
  const float added = value - first;
  const float of_sum = (first - (value - added)) + (product - added);
  return {bits_of(shifted), {value, multiply_add(n, 0x1.ee59dap-50f, of_product) + of_sum}};
}

// For |x| <= pi / 4: 2^-28 and 2^-33.
MPS_VECTOR_INLINE float short_sine(Sum x) {
  const float z = x.value * x.value;
  const float p = multiply_add(multiply_add(-0x1.994388p-13f, z, 0x1.11073ap-7f), z, -0x1.555546p-3f);
  return x.value + multiply_add(x.value * z, p, x.rest);
}
MPS_VECTOR_INLINE float short_cosine(Sum x) {
  const float z = x.value * x.value;
  const float p = multiply_add(multiply_add(0x1.99eb4cp-16f, z, -0x1.6c0c32p-10f), z, 0x1.55554ap-5f);
  const float most = multiply_add(-0.5f, z, 1.0f);
  const float left = multiply_add(-0.5f, z, 1.0f - most);
  return most + multiply_add(z * z, p, multiply_add(-x.value, x.rest, left));
}

MPS_VECTOR_INLINE float sin_of_usual(float x) {
  const UsualAngle a = usual_angle(x);
  const float turned = (a.quadrant & 1) != 0 ? short_cosine(a.rest) : short_sine(a.rest);
  return x == 0.0f ? x : float_of(bits_of(turned) ^ (a.quadrant & 2) << 30);
}

MPS_VECTOR_INLINE float cos_of_usual(float x) {
  const UsualAngle a = usual_angle(x);
  const float turned = (a.quadrant & 1) != 0 ? short_sine(a.rest) : short_cosine(a.rest);
  return float_of(bits_of(turned) ^ ((a.quadrant + 1) & 2) << 30);
}

MPS_VECTOR_INLINE float sin(float x) {
  const Angle a = angle(absolute(static_cast<double>(x)));
  const double turned = (a.quadrant & 1) != 0 ? short_cosine(a.rest) : short_sine(a.rest);
  const double result = (a.quadrant & 2) != 0 ? -turned : turned;
  const float any = x < 0.0f ? static_cast<float>(-result) : x == 0.0f ? x : static_cast<float>(result);
  return is_usual_angle(x) ? sin_of_usual(x) : any;
}

MPS_VECTOR_INLINE float cos(float x) {
  const Angle a = angle(absolute(static_cast<double>(x)));
  const double turned = (a.quadrant & 1) != 0 ? -short_sine(a.rest) : short_cosine(a.rest);
  const float any = static_cast<float>((a.quadrant & 2) != 0 ? -turned : turned);
  return is_usual_angle(x) ? cos_of_usual(x) : any;
}

MPS_VECTOR_INLINE float tan(float x) {
  const Angle a = angle(absolute(static_cast<double>(x)));
  const double sine = short_sine(a.rest), cosine = short_cosine(a.rest);
  const bool turned = (a.quadrant & 1) != 0;
  const double result = (turned ? -cosine : sine) / (turned ? sine : cosine);
  return x < 0.0f ? static_cast<float>(-result) : x == 0.0f ? x : static_cast<float>(result);
}

// Beyond 1 the square root is NaN.
MPS_VECTOR_INLINE float asin(float x) {
  const double a = absolute(static_cast<double>(x));
  return with_sign(arctangent(a, __builtin_sqrt((1.0 - a) * (1.0 + a))), x);
}

// In float, since nothing cancels: pi / 2 - asin(x) up to 1/2, and beyond twice the arc whose sine is sqrt((1 - |x|) /
// 2).
MPS_VECTOR_INLINE float acos(float x) {
  const float a = absolute(x);
  const bool far = a > 0.5f;
  const float z = far ? 0.5f - 0.5f * a : x * x;
  const float s = far ? __builtin_sqrtf(z) : a;
  // (asin(s) - s) / s^3 for s <= 1/2: 2^-25
  float p = 0x1.14138cp-5f;
  p = multiply_add(p, z, 0x1.18e1f6p-6f);
  p = multiply_add(p, z, 0x1.fd921ap-6f);
  p = multiply_add(p, z, 0x1.6d5b8ep-5f);
  p = multiply_add(p, z, 0x1.333432p-4f);
  p = multiply_add(p, z, 0x1.555554p-3f);
  const float arc = multiply_add(s * z, p, s);
  // pi / 2 and pi in two parts.
  const float near = 0x1.921fb6p0f - ((x < 0.0f ? -arc : arc) - -0x1.777a5cp-25f);
  const float left = 0x1.921fb6p1f - (2.0f * arc - -0x1.777a5cp-24f);
  return far ? (x < 0.0f ? left : 2.0f * arc) : near;
}

MPS_VECTOR_INLINE float atan(float x) { return with_sign(arctangent(absolute(static_cast<double>(x)), 1.0), x); }

MPS_VECTOR_INLINE float atan2(float y, float x) {
  const double result = arctangent(absolute(static_cast<double>(y)), absolute(static_cast<double>(x)));
  return with_sign((bits_of(x) & 0x80000000u) != 0 ? kPi - result : result, y);
}

MPS_VECTOR_INLINE float sinh(float x) {
  const double e = exponent_minus_one(absolute(static_cast<double>(x)));
  return with_sign(0.5 * (e + e / (e + 1.0)), x);
}

MPS_VECTOR_INLINE float cosh(float x) {
  const double e = exponent(absolute(static_cast<double>(x)));
  return static_cast<float>(0.5 * (e + 1.0 / e));
}

// log(a + sqrt(a^2 + 1)), as log1p of a number that loses nothing near 0.
MPS_VECTOR_INLINE float asinh(float x) {
  const double a = absolute(static_cast<double>(x));
  const double square = a * a;
  const double result = logarithm_of_one_plus(a + square / (1.0 + __builtin_sqrt(1.0 + square)));
  return with_sign(a < kDoubleInfinity ? result : a, x);
}

MPS_VECTOR_INLINE float acosh(float x) {
  const double above_1 = static_cast<double>(x) - 1.0;
  const double result = logarithm_of_one_plus(above_1 + __builtin_sqrt(above_1 * (above_1 + 2.0)));
  return x < 1.0f ? kNaN : static_cast<float>(result);
}

MPS_VECTOR_INLINE float atanh(float x) {
  const double a = absolute(static_cast<double>(x));
  return with_sign(0.5 * logarithm_of_one_plus(2.0 * a / (1.0 - a)), x);
}

// In float: an odd polynomial near 0, and beyond it 1 - exp(-Q(|x|)), where what is subtracted is less than 1/5.
MPS_VECTOR_INLINE float erf(float x) {
  float a = absolute(x);
  const float z = a * a;
  // erf(x) / x - 1 for |x| <= 0.921875: 2^-31
  float p = 0x1.5f116ap-14f;
  p = multiply_add(p, z, -0x1.aae992p-11f);
  p = multiply_add(p, z, 0x1.54dad8p-8f);
  p = multiply_add(p, z, -0x1.b8107cp-6f);
  p = multiply_add(p, z, 0x1.ce2e20p-4f);
  p = multiply_add(p, z, -0x1.812744p-2f);
  p = multiply_add(p, z, 0x1.06eba8p-3f);
  const float near = multiply_add(a, p, a);
  a = a > 4.0f ? 4.0f : a;  // the last float below 1 is at 3.9
  const float t = a - 0.921875f;
  // -log(1 - erf) from there to 4: erf is right to 2^-34
  float q = 0x1.624ef6p-16f;
  q = multiply_add(q, t, -0x1.38f35cp-12f);
  q = multiply_add(q, t, 0x1.191aaep-9f);
  q = multiply_add(q, t, -0x1.63a6fap-7f);
  q = multiply_add(q, t, 0x1.6f368cp-5f);
  q = multiply_add(q, t, 0x1.aa7d7ep-1f);
  q = multiply_add(q, t, 0x1.41068ep+1f);
  q = multiply_add(q, t, 0x1.a60826p+0f);
  const float result = a < 0.921875f ? near : 1.0f - exponent_of_moderate(-q);
  return float_of((bits_of(result) & 0x7fffffffu) | (bits_of(x) & 0x80000000u));
}

// x P(w) with w = -log(1 - x^2), which grows slowly (Giles, "Approximating the erfinv function", 2010).
// From 1 on infinite. There are two P: for w <= 5 (2^-39), and for sqrt(w) in [2.2, 4.2], where all floats below 1 are
// (2^-34).
MPS_VECTOR_INLINE double erfinv_logarithm(double a) { return -logarithm((1.0 - a) * (1.0 + a)); }

MPS_VECTOR_INLINE double erfinv_near(double w) {
  return polynomial(w - 2.5, 0x1.805c5cfcedef5p+0, 0x1.f91e8993791f8p-3, -0x1.11c3c304a481ep-8, -0x1.4863cc93e8490p-10,
                    0x1.c9b4393e96fb4p-13, -0x1.4f4a74159678ap-18, -0x1.ca92b8fc57500p-19, 0x1.0112d91c7bf40p-21,
                    0x1.cd6d4248e6968p-27, -0x1.76bff55ec9bbcp-27, 0x1.f025ea2e420d7p-31, 0x1.1d7cac88419e9p-33,
                    -0x1.08f57e3faf900p-35, -0x1.7d8c03cb70ca5p-42, 0x1.edb4e2836e977p-42);
}

// For these w is less than 5.
MPS_VECTOR_INLINE bool is_usual_of_erfinv(float x) { return absolute(x) < 0.996f; }
MPS_VECTOR_INLINE float erfinv_of_usual(float x) {
  const double a = absolute(static_cast<double>(x));
  return with_sign(a * erfinv_near(erfinv_logarithm(a)), x);
}

MPS_VECTOR_INLINE float erfinv(float x) {
  const double a = absolute(static_cast<double>(x)), w = erfinv_logarithm(a);
  const double far =
      polynomial(__builtin_sqrt(w) - 3.2, 0x1.844e34099396cp+1, 0x1.0133861ca6931p+0, 0x1.87751c31f0300p-8,
                 -0x1.196c3e46e07c6p-8, 0x1.82c6a54554e2ep-9, -0x1.0536eef42e404p-9, 0x1.1aa0b3571273cp-10,
                 -0x1.77ca7e80fbae7p-12, -0x1.76f7c88d4d7e9p-17, 0x1.8f97e25f71892p-14, -0x1.d2f89de5c83d3p-15,
                 0x1.f59c136004703p-18, 0x1.13e881ad6960fp-17, -0x1.d36b9a95b7d15p-19);
  const double result = a * (w < 5.0 ? erfinv_near(w) : far);
  return with_sign(a >= 1.0 ? kDoubleInfinity : result, x);
}

// exp(y log |x|), and then what C's pow says about signs, zeros, infinities and NaN.
MPS_VECTOR_INLINE float power(float x, float y) {
  const double a = absolute(static_cast<double>(x)), b = static_cast<double>(y);
  const double magnitude = exponent(b * logarithm(a));
  const double half = 0.5 * b;
  const bool whole = b == __builtin_rint(b);
  const bool odd = whole & (half != __builtin_rint(half));
  double result = ((a == 1.0) & (y == y)) ? 1.0 : magnitude;
  result = ((x < 0.0f) & (a < kDoubleInfinity) & !whole) ? kDoubleNaN : result;
  result = (((bits_of(x) & 0x80000000u) != 0) & odd) ? -result : result;
  return ((x == 1.0f) | (y == 0.0f)) ? 1.0f : static_cast<float>(result);
}

// x - y trunc(x / y), exact. A quotient has up to 277 bits: they are found 50 at a time, the highest first. Without
// fused multiply-add it is the C library's, which gives the same bits.
MPS_VECTOR_INLINE double remainder_step(double rest, double y) {
  const double next = multiply_add(-__builtin_trunc(rest / y), y, rest);
  return next < 0.0 ? next + y : next;  // the quotient was rounded up to the next integer
}

MPS_VECTOR_INLINE float modulo(float x, float y) {
#if defined(__FP_FAST_FMA)
  const double b = absolute(static_cast<double>(y));
  double rest = absolute(static_cast<double>(x));
  rest = remainder_step(rest, b * 0x1p250);
  rest = remainder_step(rest, b * 0x1p200);
  rest = remainder_step(rest, b * 0x1p150);
  rest = remainder_step(rest, b * 0x1p100);
  rest = remainder_step(rest, b * 0x1p50);
  rest = remainder_step(rest, b);
  const float result = with_sign(rest, x);
  return b == kDoubleInfinity && absolute(x) < kInfinity ? x : result;
#else
  return __builtin_fmodf(x, y);
#endif
}

}  // namespace mps::vector_math
