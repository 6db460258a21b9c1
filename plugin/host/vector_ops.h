// The arithmetic of every pointwise and reduce node on one element: a struct per row of nodes.def, named like it.
//
// Each is inlined into a loop that the compiler turns into vector code, so it has no branches; where it has a choice,
// both sides are computed. A struct is only instantiated for the register dtypes (vector_kernels.h) that its row
// accepts. The meaning is that of plugin/core/device.h; where that leaves a choice (the sign of a zero, which of two
// NaNs), it is what Paddle's CPU kernels do.
//
// Included by vector_kernels.inc.cc alone, which compiles it for several instruction sets: everything here has internal
// linkage, lest the linker keep one set's copy for all.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "plugin/core/dtype.h"
#include "plugin/host/vector_math.h"

namespace mps {
namespace {
namespace vector_ops {

// A byte that is 0 or 1. Not `bool`, whose loads the compiler vectorises badly.
enum Boolean : uint8_t {};

template <typename T>
inline constexpr bool kIsFloat = std::is_same_v<T, float>;
template <typename T>
inline constexpr bool kIsBoolean = std::is_same_v<T, Boolean>;

// Integers wrap: arithmetic in this unsigned type has no undefined behaviour, its low bits are the result's.
template <typename T>
using Wide = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <typename T>
using Unsigned = std::conditional_t<
    sizeof(T) == 8, uint64_t,
    std::conditional_t<sizeof(T) == 4, uint32_t, std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>>>;

#define MPS_OP_UNARY    \
  template <typename T> \
  static inline __attribute__((always_inline)) T f(T x)
#define MPS_OP_BINARY   \
  template <typename T> \
  static inline __attribute__((always_inline)) T f(T x, T y)
#define MPS_OP_COMPARE  \
  template <typename T> \
  static inline __attribute__((always_inline)) Boolean f(T x, T y)

struct identity {
  MPS_OP_UNARY { return x; }
};

struct negative {
  MPS_OP_UNARY {
    if constexpr (kIsFloat<T>) return -x;
    return static_cast<T>(0 - static_cast<Wide<T>>(x));
  }
};

struct absolute {
  MPS_OP_UNARY {
    if constexpr (kIsFloat<T>) {
      return vector_math::absolute(x);
    } else {
      return x < 0 ? negative::f(x) : x;
    }
  }
};

struct sign {  // of NaN is NaN, of either zero is +0
  MPS_OP_UNARY {
    const T result = static_cast<T>((x > 0) - (x < 0));
    if constexpr (kIsFloat<T>) return x != x ? x : result;
    return result;
  }
};

struct square {
  MPS_OP_UNARY {
    if constexpr (kIsFloat<T>) return x * x;
    return static_cast<T>(static_cast<Wide<T>>(x) * static_cast<Wide<T>>(x));
  }
};

struct reciprocal {
  MPS_OP_UNARY { return 1.0f / x; }
};
struct square_root {
  MPS_OP_UNARY { return __builtin_sqrtf(x); }
};
struct exponent {
  MPS_OP_UNARY { return vector_math::exponent(x); }
};
struct logarithm {
  MPS_OP_UNARY { return vector_math::logarithm(x); }
};
struct sigmoid {
  MPS_OP_UNARY { return vector_math::sigmoid(x); }
};
struct tanh {
  MPS_OP_UNARY { return vector_math::tanh(x); }
};

struct relu {  // of NaN and of either zero is +0
  MPS_OP_UNARY { return x > 0 ? x : T{0}; }
};

struct logical_not {
  MPS_OP_UNARY { return static_cast<T>(x == 0); }
};

struct addition {  // of bool is "or"
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) return x + y;
    if constexpr (kIsBoolean<T>) return static_cast<T>(x | y);
    return static_cast<T>(static_cast<Wide<T>>(x) + static_cast<Wide<T>>(y));
  }
};

struct subtraction {
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) return x - y;
    return static_cast<T>(static_cast<Wide<T>>(x) - static_cast<Wide<T>>(y));
  }
};

struct multiplication {  // of bool is "and"
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) return x * y;
    if constexpr (kIsBoolean<T>) return static_cast<T>(x & y);
    return static_cast<T>(static_cast<Wide<T>>(x) * static_cast<Wide<T>>(y));
  }
};

struct division {  // integers truncate, x / 0 is 0, the lowest integer over -1 wraps
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) {
      return x / y;
    } else {
      const bool by_minus_one = std::is_signed_v<T> && y == static_cast<T>(-1);
      const T safe = y == 0 || by_minus_one ? T{1} : y;
      const T quotient = divide(x, safe);
      return y == 0 ? T{0} : by_minus_one ? negative::f(x) : quotient;
    }
  }

  // Of int64, what a double holds can be divided as doubles.
  static inline __attribute__((always_inline)) bool is_usual(int64_t x, int64_t y) {
    constexpr uint64_t kLimit = uint64_t{1} << 50;
    return static_cast<uint64_t>(x) + kLimit < 2 * kLimit && static_cast<uint64_t>(y) + kLimit < 2 * kLimit;
  }
  static inline __attribute__((always_inline)) int64_t of_usual(int64_t x, int64_t y) {
    const double dividend = vector_math::whole_of_integer(static_cast<uint64_t>(x));
    const double divisor = vector_math::whole_of_integer(static_cast<uint64_t>(y));
    const double quotient = __builtin_trunc(dividend / (divisor == 0.0 ? 1.0 : divisor));
    return y == 0 ? 0 : static_cast<int64_t>(vector_math::integer_of_whole(quotient));
  }

 private:
  // There are no vector instructions for integers. A float has room for the quotient of two integers of less than half
  // its precision plus one bit: an inexact quotient is then so far from the next integer that rounding cannot reach it.
  template <typename T>
  static inline __attribute__((always_inline)) T divide(T x, T y) {
    if constexpr (sizeof(T) <= 2) {
      return static_cast<T>(static_cast<int32_t>(static_cast<float>(x) / static_cast<float>(y)));
    } else if constexpr (sizeof(T) == 4) {
      return static_cast<T>(static_cast<double>(x) / static_cast<double>(y));
    } else {
      return x / y;
    }
  }
};

struct maximum {  // NaN if one is
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) return x > y || x != x ? x : y;
    return x > y ? x : y;
  }
};

struct minimum {  // NaN if one is
  MPS_OP_BINARY {
    if constexpr (kIsFloat<T>) return x < y || x != x ? x : y;
    return x < y ? x : y;
  }
};

struct equal {
  MPS_OP_COMPARE { return static_cast<Boolean>(x == y); }
};
struct not_equal {
  MPS_OP_COMPARE { return static_cast<Boolean>(x != y); }
};
struct less_than {
  MPS_OP_COMPARE { return static_cast<Boolean>(x < y); }
};
struct less_than_or_equal_to {
  MPS_OP_COMPARE { return static_cast<Boolean>(x <= y); }
};
struct greater_than {
  MPS_OP_COMPARE { return static_cast<Boolean>(x > y); }
};
struct greater_than_or_equal_to {
  MPS_OP_COMPARE { return static_cast<Boolean>(x >= y); }
};

template <typename To>
static inline __attribute__((always_inline)) To truncate_to(float x) {
  if constexpr (sizeof(To) == 8) return vector_math::truncated_to_int64(x);
  return static_cast<To>(x);
}

// A float becomes int32 or int64 by truncation; what does not fit becomes the nearest that does, and NaN becomes 0. It
// becomes a narrower integer by way of int32. An integer becomes a narrower one by dropping bits. A number becomes a
// bool by "is not 0".
template <typename To, typename From>
static inline __attribute__((always_inline)) To cast(From x) {
  if constexpr (kIsBoolean<To>) {
    return static_cast<To>(x != 0);
  } else if constexpr (kIsFloat<From> && std::is_integral_v<To> && sizeof(To) < sizeof(int32_t)) {
    return static_cast<To>(cast<int32_t>(x));
  } else if constexpr (kIsFloat<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    // Both are 0 or powers of two, hence exact as float; the highest integer itself often is not.
    constexpr float kLow = static_cast<float>(Limits::min());
    constexpr float kEnd = static_cast<float>(uint64_t{1} << Limits::digits);
    const float inside = x >= kLow && x < kEnd ? x : 0.0f;  // NaN is not inside
    const To truncated = truncate_to<To>(inside);
    const To high = x >= kEnd ? Limits::max() : truncated;
    return x < kLow ? Limits::min() : high;
  } else if constexpr (kIsFloat<To> && std::is_same_v<From, int64_t>) {
    return vector_math::rounded_to_float(x);
  } else {
    return static_cast<To>(x);
  }
}

// Reductions: what a register dtype is accumulated in, the value that changes nothing, and how two partial results
// become one. `combine` is given scalars and vectors (of the compiler's vector extension) of accumulators.
struct reduction_sum {
  static constexpr bool kChooses = false;  // the result is one of the elements
  template <typename T>
  using Accumulator = std::conditional_t<kIsFloat<T>, double, Unsigned<T>>;
  template <typename A>
  static constexpr A kStart = A{0};
  template <typename V>
  static inline __attribute__((always_inline)) V combine(V x, V y) {
    return x + y;
  }
};

struct reduction_product : reduction_sum {
  template <typename A>
  static constexpr A kStart = A{1};
  template <typename V>
  static inline __attribute__((always_inline)) V combine(V x, V y) {
    return x * y;
  }
};

// Bools are compared as bytes. NaN wins.
template <typename T>
using Ordered = std::conditional_t<kIsFloat<T>, double, std::conditional_t<kIsBoolean<T>, uint8_t, T>>;

struct reduction_maximum {
  static constexpr bool kChooses = true;
  template <typename T>
  using Accumulator = Ordered<T>;
  template <typename A>
  static constexpr A kStart =
      std::is_floating_point_v<A> ? -std::numeric_limits<A>::infinity() : std::numeric_limits<A>::min();
  template <typename V>
  static inline __attribute__((always_inline)) V combine(V x, V y) {
    return ((x > y) | (x != x)) ? x : y;
  }
};

struct reduction_minimum {
  static constexpr bool kChooses = true;
  template <typename T>
  using Accumulator = Ordered<T>;
  template <typename A>
  static constexpr A kStart =
      std::is_floating_point_v<A> ? std::numeric_limits<A>::infinity() : std::numeric_limits<A>::max();
  template <typename V>
  static inline __attribute__((always_inline)) V combine(V x, V y) {
    return ((x < y) | (x != x)) ? x : y;
  }
};

#undef MPS_OP_UNARY
#undef MPS_OP_BINARY
#undef MPS_OP_COMPARE

}  // namespace vector_ops
}  // namespace
}  // namespace mps
