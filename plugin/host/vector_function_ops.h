// The pointwise nodes that are elementary functions, and the arithmetic of integers that is no single instruction, on
// one element: structs as in vector_ops.h, which says what they must keep to.
//
// Included by vector_kernels.inc.cc alone.
#pragma once

#include "plugin/host/vector_functions.h"
#include "plugin/host/vector_gamma.h"
#include "plugin/host/vector_ops.h"

namespace mps {
namespace {
namespace vector_ops {

#define MPS_OP_FUNCTION(name, expression)                                                \
  struct name {                                                                          \
    static inline __attribute__((always_inline)) float f(float x) { return expression; } \
  };
#define MPS_OP_BINARY   \
  template <typename T> \
  static inline __attribute__((always_inline)) T f(T x, T y)

MPS_OP_FUNCTION(logarithm_base_2, vector_math::logarithm_base_2(x))
MPS_OP_FUNCTION(logarithm_base_10, vector_math::logarithm_base_10(x))
MPS_OP_FUNCTION(ceil, __builtin_ceilf(x))
MPS_OP_FUNCTION(floor, __builtin_floorf(x))
MPS_OP_FUNCTION(rint, __builtin_rintf(x))
MPS_OP_FUNCTION(truncate, __builtin_truncf(x))

// What is usual is computed without the rest, if all of a group is: block functions look (vector_kernels.inc.cc).
struct sin {
  static inline __attribute__((always_inline)) bool is_usual(float x) { return vector_math::is_usual_angle(x); }
  static inline __attribute__((always_inline)) float of_usual(float x) { return vector_math::sin_of_usual(x); }
  static inline __attribute__((always_inline)) float f(float x) { return vector_math::sin(x); }
};
struct cos {
  static inline __attribute__((always_inline)) bool is_usual(float x) { return vector_math::is_usual_angle(x); }
  static inline __attribute__((always_inline)) float of_usual(float x) { return vector_math::cos_of_usual(x); }
  static inline __attribute__((always_inline)) float f(float x) { return vector_math::cos(x); }
};

struct erfinv {
  static inline __attribute__((always_inline)) bool is_usual(float x) { return vector_math::is_usual_of_erfinv(x); }
  static inline __attribute__((always_inline)) float of_usual(float x) { return vector_math::erfinv_of_usual(x); }
  static inline __attribute__((always_inline)) float f(float x) { return vector_math::erfinv(x); }
};

MPS_OP_FUNCTION(tan, vector_math::tan(x))
MPS_OP_FUNCTION(asin, vector_math::asin(x))
MPS_OP_FUNCTION(acos, vector_math::acos(x))
MPS_OP_FUNCTION(atan, vector_math::atan(x))
MPS_OP_FUNCTION(sinh, vector_math::sinh(x))
MPS_OP_FUNCTION(cosh, vector_math::cosh(x))
MPS_OP_FUNCTION(asinh, vector_math::asinh(x))
MPS_OP_FUNCTION(acosh, vector_math::acosh(x))
MPS_OP_FUNCTION(atanh, vector_math::atanh(x))
MPS_OP_FUNCTION(erf, vector_math::erf(x))
MPS_OP_FUNCTION(expm1, vector_math::expm1(x))
MPS_OP_FUNCTION(log1p, vector_math::log1p(x))
MPS_OP_FUNCTION(lgamma, vector_math::lgamma(x))
MPS_OP_FUNCTION(digamma, vector_math::digamma(x))

struct power {  // integers wrap; to a negative power only 1 and -1 are not 0
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) {
      return vector_math::power(x, y);
    } else {
      const bool inverts = std::is_signed_v<T> && y < 0;
      const bool odd = (y & 1) != 0;
      Wide<T> result = 1, square = static_cast<Wide<T>>(x);
      for (Unsigned<T> bits = static_cast<Unsigned<T>>(inverts ? T{0} : y); bits != 0; bits >>= 1) {
        result = (bits & 1) != 0 ? result * square : result;
        square *= square;
      }
      const bool is_unit = x == 1 || (std::is_signed_v<T> && x == static_cast<T>(-1));
      const T inverse = is_unit ? (odd ? x : T{1}) : T{0};
      return inverts ? inverse : static_cast<T>(result);
    }
  }
};

struct atan2 {
  static inline __attribute__((always_inline)) float f(float y, float x) { return vector_math::atan2(y, x); }
};

struct modulo {  // of integers x % 0 is x
  static inline __attribute__((always_inline)) bool is_usual(int64_t x, int64_t y) { return division::is_usual(x, y); }
  static inline __attribute__((always_inline)) int64_t of_usual(int64_t x, int64_t y) {
    return subtraction::f(x, multiplication::f(division::of_usual(x, y), y));
  }
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) {
      return vector_math::modulo(x, y);
    } else {
      return subtraction::f(x, multiplication::f(division::f(x, y), y));
    }
  }
};

struct bitwise_and {
  MPS_OP_BINARY { return static_cast<T>(x & y); }
};
struct bitwise_or {
  MPS_OP_BINARY { return static_cast<T>(x | y); }
};
struct bitwise_xor {
  MPS_OP_BINARY { return static_cast<T>(x ^ y); }
};

// From the width of the type on, and for negative counts, all bits are shifted out; the sign stays.
template <typename T>
inline constexpr Unsigned<T> kLastBit = 8 * sizeof(T) - 1;
struct bitwise_left_shift {
  MPS_OP_BINARY {
    const Unsigned<T> count = static_cast<Unsigned<T>>(y);
    const T shifted = static_cast<T>(static_cast<Wide<T>>(x) << (count & kLastBit<T>));
    return count > kLastBit<T> ? T{0} : shifted;
  }
};
struct bitwise_right_shift {
  MPS_OP_BINARY {
    const Unsigned<T> count = static_cast<Unsigned<T>>(y);
    if constexpr (std::is_signed_v<T>) return static_cast<T>(x >> (count > kLastBit<T> ? kLastBit<T> : count));
    const T shifted = static_cast<T>(x >> (count & kLastBit<T>));
    return count > kLastBit<T> ? T{0} : shifted;
  }
};

#undef MPS_OP_FUNCTION
#undef MPS_OP_BINARY

}  // namespace vector_ops
}  // namespace
}  // namespace mps
