// What every pointwise node means: one functor per row of nodes.def, named like it, on one element.
//
// float16 and bfloat16 elements arrive as float and are rounded by the caller, once per node. A functor is only
// instantiated for the dtypes that its row accepts. Those of elementary functions are in reference_functions_host.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "plugin/core/half.h"

namespace mps::meaning {

template <typename T>
inline constexpr bool kIsFloat = std::is_same_v<T, float>;

// Integers wrap: two's complement arithmetic modulo 2^64, of which the low bits are the answer in any narrower type.
// For bool, converting back means "is not 0".
template <typename T>
uint64_t wide(T x) {
  return static_cast<uint64_t>(x);
}

struct identity {
  template <typename T>
  T operator()(T x) const {
    return x;
  }
};

struct negative {
  template <typename T>
  T operator()(T x) const {
    if constexpr (kIsFloat<T>) return -x;
    return static_cast<T>(0 - wide(x));
  }
};

struct absolute {
  template <typename T>
  T operator()(T x) const {
    if constexpr (kIsFloat<T>) return std::fabs(x);
    return x < T{0} ? negative()(x) : x;
  }
};

struct sign {  // of NaN is NaN, of either zero is +0
  template <typename T>
  T operator()(T x) const {
    if (x > T{0}) return T{1};
    if (x < T{0}) return negative()(T{1});
    return x == T{0} ? T{0} : x;
  }
};

struct square {
  template <typename T>
  T operator()(T x) const {
    if constexpr (kIsFloat<T>) return x * x;
    return static_cast<T>(wide(x) * wide(x));
  }
};

struct reciprocal {
  float operator()(float x) const { return 1.0f / x; }
};

struct square_root {
  float operator()(float x) const { return std::sqrt(x); }
};

struct exponent {
  float operator()(float x) const { return std::exp(x); }
};

struct logarithm {
  float operator()(float x) const { return std::log(x); }
};

struct sigmoid {  // in double, so that 1 + exp(-x) keeps the digits of a small exponential
  float operator()(float x) const { return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x)))); }
};

struct tanh {
  float operator()(float x) const { return std::tanh(x); }
};

struct relu {  // of NaN and of either zero is +0
  template <typename T>
  T operator()(T x) const {
    return x > T{0} ? x : T{0};
  }
};

struct logical_not {
  bool operator()(bool x) const { return !x; }
};

struct addition {  // of bool is "or"
  template <typename T>
  T operator()(T x, T y) const {
    if constexpr (kIsFloat<T>) return x + y;
    return static_cast<T>(wide(x) + wide(y));
  }
};

struct subtraction {
  template <typename T>
  T operator()(T x, T y) const {
    if constexpr (kIsFloat<T>) return x - y;
    return static_cast<T>(wide(x) - wide(y));
  }
};

struct multiplication {  // of bool is "and"
  template <typename T>
  T operator()(T x, T y) const {
    if constexpr (kIsFloat<T>) return x * y;
    return static_cast<T>(wide(x) * wide(y));
  }
};

struct division {  // integers truncate; x / 0 is 0
  template <typename T>
  T operator()(T x, T y) const {
    if constexpr (kIsFloat<T>) return x / y;
    if (y == T{0}) return T{0};
    if (std::is_signed_v<T> && y == static_cast<T>(-1)) return negative()(x);  // the lowest integer wraps to itself
    return static_cast<T>(x / y);
  }
};

struct maximum {  // with a NaN, that NaN
  template <typename T>
  T operator()(T x, T y) const {
    if (x != x) return x;
    if (y != y) return y;
    return x > y ? x : y;
  }
};

struct minimum {  // with a NaN, that NaN
  template <typename T>
  T operator()(T x, T y) const {
    if (x != x) return x;
    if (y != y) return y;
    return x < y ? x : y;
  }
};

struct equal {
  template <typename T>
  bool operator()(T x, T y) const {
    return x == y;
  }
};

struct not_equal {
  template <typename T>
  bool operator()(T x, T y) const {
    return x != y;
  }
};

struct less_than {
  template <typename T>
  bool operator()(T x, T y) const {
    return x < y;
  }
};

struct less_than_or_equal_to {
  template <typename T>
  bool operator()(T x, T y) const {
    return x <= y;
  }
};

struct greater_than {
  template <typename T>
  bool operator()(T x, T y) const {
    return x > y;
  }
};

struct greater_than_or_equal_to {
  template <typename T>
  bool operator()(T x, T y) const {
    return x >= y;
  }
};

// A float becomes int32 or int64 by truncation; what does not fit becomes the nearest that does, and NaN becomes 0. It
// becomes a narrower integer by way of int32. An integer becomes a narrower one by dropping bits. A number becomes a
// bool by "is not 0".
template <typename To>
struct cast {
  template <typename From>
  To operator()(From x) const {
    if constexpr (kIsFloat<From> && std::is_integral_v<To> && !std::is_same_v<To, bool>) {
      if constexpr (sizeof(To) < sizeof(int32_t)) return static_cast<To>(cast<int32_t>()(x));
      if (x != x) return 0;
      // The bounds are powers of two (or 0), so they are exact as float; the highest integer itself often is not.
      const float low = static_cast<float>(std::numeric_limits<To>::min());
      const float end = std::ldexp(1.0f, std::numeric_limits<To>::digits);
      if (x < low) return std::numeric_limits<To>::min();
      if (x >= end) return std::numeric_limits<To>::max();
      return static_cast<To>(x);
    } else {
      return static_cast<To>(x);
    }
  }
};

}  // namespace mps::meaning
