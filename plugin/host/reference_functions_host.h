// What elementary functions mean, and the arithmetic of integers that is no single instruction: functors as in
// reference_nodes_host.h. Functions are the C library's in double, rounded once.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "plugin/host/reference_nodes_host.h"

#ifdef __APPLE__
// Every macOS has it, but its math.h declares it for programs that define _REENTRANT only.
extern "C" double lgamma_r(double, int*);
#endif

namespace mps::meaning {

#define MPS_FUNCTION(name, expression)             \
  struct name {                                    \
    float operator()(float value) const {          \
      const double x = static_cast<double>(value); \
      return static_cast<float>(expression);       \
    }                                              \
  };
MPS_FUNCTION(logarithm_base_2, std::log2(x))
MPS_FUNCTION(logarithm_base_10, std::log10(x))
MPS_FUNCTION(ceil, std::ceil(x))
MPS_FUNCTION(floor, std::floor(x))
MPS_FUNCTION(rint, std::nearbyint(x))  // ties go to the even integer
MPS_FUNCTION(truncate, std::trunc(x))
MPS_FUNCTION(sin, std::sin(x))
MPS_FUNCTION(cos, std::cos(x))
MPS_FUNCTION(tan, std::tan(x))
MPS_FUNCTION(asin, std::asin(x))
MPS_FUNCTION(acos, std::acos(x))
MPS_FUNCTION(atan, std::atan(x))
MPS_FUNCTION(sinh, std::sinh(x))
MPS_FUNCTION(cosh, std::cosh(x))
MPS_FUNCTION(asinh, std::asinh(x))
MPS_FUNCTION(acosh, std::acosh(x))
MPS_FUNCTION(atanh, std::atanh(x))
MPS_FUNCTION(erf, std::erf(x))
MPS_FUNCTION(expm1, std::expm1(x))
MPS_FUNCTION(log1p, std::log1p(x))
#undef MPS_FUNCTION

// Where erf is x: Newton's steps from below, on erfc near 1, where erf has no digits left. From 1 on infinite.
struct erfinv {
  float operator()(float value) const {
    const double x = std::fabs(static_cast<double>(value));
    if (x >= 1) return std::copysign(std::numeric_limits<float>::infinity(), value);
    if (value == 0 || value != value) return value;
    const double half_root_pi = 0.5 * std::sqrt(3.14159265358979323846);
    double y = half_root_pi * x;
    for (int i = 0; i < 60; ++i) {
      const double error = x > 0.5 ? (1 - x) - std::erfc(y) : std::erf(y) - x;
      const double step = error * half_root_pi * std::exp(y * y);
      y -= step;
      if (std::fabs(step) <= 1e-15 * y) break;
    }
    return static_cast<float>(std::copysign(y, static_cast<double>(value)));
  }
};

// log |gamma(x)|; infinite at 0, at the negative integers and at -infinity. (std::lgamma writes a global.)
struct lgamma {
  float operator()(float value) const {
    int sign;
    return static_cast<float>(::lgamma_r(static_cast<double>(value), &sign));
  }
};

// The derivative of lgamma. NaN at the negative integers and at -infinity, infinite at 0 with the opposite sign.
struct digamma {
  float operator()(float value) const {
    const double x = static_cast<double>(value);
    if (x == 0) return static_cast<float>(-1 / x);
    if (x == std::numeric_limits<double>::infinity()) return value;
    if (x > 0) return static_cast<float>(of_positive(x));
    const double turn = x - std::nearbyint(x), pi = 3.14159265358979323846;
    if (!(turn != 0)) return std::numeric_limits<float>::quiet_NaN();
    return static_cast<float>(of_positive(1 - x) - pi / std::tan(pi * turn));
  }

 private:
  static double of_positive(double x) {
    double steps = 0;
    for (; x < 10; ++x) steps += 1 / x;
    const double z = 1 / (x * x);  // and the series' Bernoulli numbers
    const double series =
        z * (1. / 12 - z * (1. / 120 - z * (1. / 252 - z * (1. / 240 - z * (1. / 132 - z * 691. / 32760)))));
    return std::log(x) - 0.5 / x - series - steps;
  }
};

// Integers wrap. To a negative power only 1 and -1 are not 0.
struct power {
  template <typename T>
  T operator()(T x, T y) const {
    if constexpr (kIsFloat<T>) {
      return static_cast<float>(std::pow(static_cast<double>(x), static_cast<double>(y)));
    } else {
      if (std::is_signed_v<T> && y < T{0}) {
        if (x == T{1}) return x;
        if (x == static_cast<T>(-1)) return wide(y) % 2 == 0 ? T{1} : x;
        return 0;
      }
      uint64_t result = 1, square = wide(x);
      for (uint64_t bits = wide(y); bits != 0; bits /= 2) {
        if (bits % 2 == 1) result *= square;
        square *= square;
      }
      return static_cast<T>(result);
    }
  }
};

struct atan2 {  // of y and x
  float operator()(float y, float x) const {
    return static_cast<float>(std::atan2(static_cast<double>(y), static_cast<double>(x)));
  }
};

struct modulo {  // x - y trunc(x / y), exact; of integers x % 0 is x
  template <typename T>
  T operator()(T x, T y) const {
    if constexpr (kIsFloat<T>) {
      return std::fmod(x, y);
    } else {
      if (y == T{0}) return x;
      if (std::is_signed_v<T> && y == static_cast<T>(-1)) return 0;
      return static_cast<T>(x % y);
    }
  }
};

struct bitwise_and {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x & y);
  }
};
struct bitwise_or {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x | y);
  }
};
struct bitwise_xor {
  template <typename T>
  T operator()(T x, T y) const {
    return static_cast<T>(x ^ y);
  }
};

// By as many bits as y says; from the width of the type on, and for negative y, all bits are shifted out.
template <typename T>
bool shifts_all(T y) {
  return y < T{0} || wide(y) >= 8 * sizeof(T);
}
struct bitwise_left_shift {
  template <typename T>
  T operator()(T x, T y) const {
    return shifts_all(y) ? T{0} : static_cast<T>(wide(x) << y);
  }
};
struct bitwise_right_shift {  // signed integers keep their sign: -1 >> 100 is -1
  template <typename T>
  T operator()(T x, T y) const {
    const T last = static_cast<T>(8 * sizeof(T) - 1);
    if (shifts_all(y)) return std::is_signed_v<T> ? static_cast<T>(x >> last) : T{0};
    return static_cast<T>(x >> y);
  }
};

}  // namespace mps::meaning
